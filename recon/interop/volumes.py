"""Volumes from arrays and images of other libraries, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recon.errors import InputError
from recon.io.orientation import check_affine, to_canonical
from recon.scan.volume import Modality, Volume

if TYPE_CHECKING:
    import SimpleITK
    import xarray

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def as_volume(
    image: Any,
    modality: Modality,
    *,
    spacing: Sequence[float] | None = None,
    affine: np.ndarray | None = None,
) -> Volume:
    """A volume of an array or image in memory, turned to (z, y, x) with x to the right, y anterior and z superior.

    Args:
        image: an array (z, y, x) of NumPy, torch or whatever NumPy takes for one; an image of SimpleITK or nibabel,
            which brings its grid; or an array of xarray with the dimensions z, y and x, whose coordinates are mm.
        modality: CT takes values in HU, MR magnitudes.
        spacing: voxel size (z, y, x) in mm of an array that does not bring it.
        affine: (4, 4) affine, array index (x, y, z) to RAS+ mm, of an array that does not bring it.

    Raises:
        InputError: not three axes, values that are no finite real numbers, a grid given twice or not at all.
    """
    values, found = _values_and_grid(image)
    given = [each for each in (found, spacing, affine) if each is not None]
    if len(given) > 1:
        raise InputError("`spacing`, `affine`: the grid is known once; leave out what the image brings itself")
    if not given:
        raise InputError("`spacing`: give the voxel size (z, y, x) in mm, which an array does not bring")
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(f"`image`: must be (z, y, x), its shape is {values.shape}")
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise InputError("`image`: must hold finite real numbers")
    grid = found if found is not None else affine if affine is not None else _of_spacing(spacing or ())
    grid = np.asarray(grid, float)
    if grid.shape != (4, 4):
        raise InputError(f"`affine`: must be 4 x 4, not {' x '.join(map(str, grid.shape))}")
    check_affine(Path("`image`"), grid)
    array, canonical = to_canonical(values.T, grid)
    return Volume(torch.from_numpy(array.astype(np.float32)), canonical, modality)


def _values_and_grid(image: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The values (z, y, x), and the affine of (x, y, z) to RAS+ mm where the image knows it."""
    if isinstance(image, Volume):
        return image.data.numpy(), image.affine
    if hasattr(image, "GetDirection") and hasattr(image, "GetSpacing"):  # SimpleITK
        return _of_simpleitk(image)
    if hasattr(image, "get_fdata") and hasattr(image, "affine"):  # nibabel
        return np.asarray(image.get_fdata()).T, np.asarray(image.affine)
    if hasattr(image, "dims") and hasattr(image, "coords"):  # xarray
        return _of_xarray(image)
    if hasattr(image, "detach"):  # torch
        image = image.detach().cpu()
    return np.asarray(image), None


def _of_simpleitk(image: Any) -> tuple[np.ndarray, np.ndarray]:
    from SimpleITK import GetArrayFromImage

    if image.GetDimension() != 3:
        raise InputError(f"`image`: must have three dimensions, it has {image.GetDimension()}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.asarray(GetArrayFromImage(image)), _LPS_TO_RAS @ affine


def _of_xarray(image: Any) -> tuple[np.ndarray, np.ndarray | None]:
    if sorted(image.dims) != ["x", "y", "z"]:
        raise InputError(f"`image`: its dimensions must be z, y and x, they are {', '.join(map(str, image.dims))}")
    values = np.asarray(image.transpose("z", "y", "x").values)
    if not all(name in image.coords for name in "xyz"):
        return values, None
    affine = np.eye(4)
    for axis, name in enumerate("xyz"):
        places = np.asarray(image.coords[name].values, float)
        steps = np.diff(places)
        if len(steps) and not np.allclose(steps, steps.mean(), rtol=1e-3):
            raise InputError(f"`image`: its coordinate {name} is unevenly spaced; resample it first")
        affine[axis, axis], affine[axis, 3] = steps.mean() if len(steps) else 1.0, places[0]
    return values, affine


def _of_spacing(spacing: Sequence[float]) -> np.ndarray:
    if len(spacing) != 3 or not all(np.isfinite(step) and step > 0 for step in spacing):
        raise InputError(f"`spacing` {tuple(spacing)}: must be the voxel size (z, y, x) in mm, above 0")
    return np.diag([*spacing[::-1], 1.0])


def as_simpleitk(volume: Volume) -> SimpleITK.Image:
    """The volume as an image of SimpleITK, with its grid; ``ImportError`` where that is not installed."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(volume.data.numpy())
    affine = _LPS_TO_RAS @ volume.affine
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / steps).ravel().tolist())
    return image


def as_xarray(volume: Volume) -> xarray.DataArray:
    """The volume as an array of xarray, its coordinates in mm; ``ImportError`` where that is not installed.

    Raises:
        InputError: an oblique volume, whose places need more than a coordinate for each axis.
    """
    import xarray

    steps = np.diag(volume.affine)[:3]
    if not np.allclose(volume.affine[:3, :3], np.diag(steps), atol=1e-6 * np.abs(steps).max()):
        raise InputError("`volume`: is oblique; coordinates of xarray lie along its axes alone")
    coords = {
        name: volume.affine[axis, 3] + steps[axis] * np.arange(volume.data.shape[2 - axis])
        for axis, name in enumerate("xyz")
    }
    facts = {"modality": volume.modality, "units": "HU" if volume.modality == "CT" else ""}
    return xarray.DataArray(volume.data.numpy(), coords=coords, dims=("z", "y", "x"), attrs=facts)
