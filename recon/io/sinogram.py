"""Sinograms with their geometry in HDF5.

Layout, version 1: dataset ``sinogram`` (z, views, cells) float32, line integrals of attenuation (no unit); root
attributes ``format`` = "recon-sinogram", ``version``, ``geometry`` (JSON, as ``physics.ct.geometry`` writes it: mm and
radians), ``shape`` (z, y, x), ``spacing`` (z, y, x) in mm and ``affine`` (4, 4) of the grid to reconstruct on, and
``meta`` (JSON: noise, seed, where it came from).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError, input_errors
from recon.io.checks import check_values
from recon.io.hdf5 import create_hdf5, open_hdf5, read_affine, read_dataset, read_json
from recon.io.orientation import check_affine, spacing_of

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, VERSION = "recon-sinogram", 1

_PITCH = (1e-4, 1e3)
"""Plausible distances of detector cells, mm."""

_MOST_TURNS = 10
"""Of a helical or golden-angle scan that does not count angles from 0 again."""


@dataclass(frozen=True)
class Sinogram:
    """Measured or simulated projections and the grid to reconstruct them on.

    Attributes:
        data: (z, views, cells) float32 line integrals of attenuation.
        geometry: plain values from which ``physics.ct.geometry.geometry_from_dict`` makes the geometry.
        shape: (z, y, x) of the volume.
        affine: (4, 4) affine of the volume, voxel (x, y, z) to RAS+ mm.
        meta: plain facts: noise, seed, what it was simulated from.
        notices: what the reader of a result must know about how the file was read.
    """

    data: Tensor
    geometry: dict[str, Any]
    shape: tuple[int, int, int]
    affine: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def is_simulated(self) -> bool:
        """Whether the file says that its data were simulated."""
        return bool(self.meta.get("simulated", False))

    @property
    def is_ideal(self) -> bool:
        """Whether the operator that reconstructs also made the data (inverse crime)."""
        return self.is_simulated and self.meta.get("simulation", "ideal") != "continuous"


def write_sinogram(path: Path, sinogram: Sinogram) -> None:
    """Write a sinogram; the file need not exist yet (see :mod:`recon.io.atomic` for the way to a final name)."""
    x, y, z = spacing_of(sinogram.affine)
    with create_hdf5(path) as file:
        file.create_dataset("sinogram", data=np.asarray(sinogram.data.numpy(), np.float32))
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["geometry"] = json.dumps(sinogram.geometry)
        file.attrs["shape"] = np.asarray(sinogram.shape, np.int64)
        file.attrs["spacing"] = np.asarray([z, y, x])
        file.attrs["affine"] = np.asarray(sinogram.affine, float)
        file.attrs["meta"] = json.dumps(sinogram.meta)


def read_sinogram(path: Path) -> Sinogram:
    """The sinogram in an HDF5 file.

    Raises:
        InputError: not HDF5 or damaged; no ``sinogram``, geometry or grid; NaN, infinity or a constant; data that
            do not have the geometry's views and cells or the grid's slices.
    """
    import torch

    with open_hdf5(path) as file:
        data = read_dataset(path, file, "sinogram", complex_values=False)
        _check_version(path, file.attrs)
        geometry = read_json(path, file.attrs, "geometry")
        meta = read_json(path, file.attrs, "meta")
        shape, affine = _grid(path, file.attrs)
    if not geometry:
        raise InputError(f"{path}: has no attribute 'geometry'; a sinogram cannot be reconstructed without it")
    _check_plain(path, geometry)
    geometry["cells"] = _check_shapes(path, data.shape, geometry, shape)
    check_values(path, data, "sinogram")
    return Sinogram(torch.from_numpy(data), geometry, shape, affine, meta)


def _check_plain(path: Path, geometry: dict[str, Any]) -> None:
    """Refuse values of other types, and lengths and angles that no scanner has."""
    angles, cells, pitch = geometry.get("angles"), geometry.get("cells"), geometry.get("pitch")
    if not isinstance(geometry.get("type"), str):
        raise InputError(f"{path}: geometry: 'type' must be a name")
    if cells is not None and type(cells) is not int:
        raise InputError(f"{path}: geometry: 'cells' is {cells}; it must be a whole number")
    if any(type(value) is bool for value in (*geometry.values(), *(angles if isinstance(angles, list) else []))):
        raise InputError(f"{path}: geometry: true and false are no numbers")
    if isinstance(pitch, int | float) and not _PITCH[0] <= pitch <= _PITCH[1]:
        raise InputError(f"{path}: geometry: a pitch of {pitch:g} mm; it must be {_PITCH[0]:g} to {_PITCH[1]:g} mm")
    numbers = [value for value in angles if isinstance(value, int | float)] if isinstance(angles, list) else []
    span = max(numbers, default=0) - min(numbers, default=0)
    if math.isfinite(span) and span > _MOST_TURNS * math.tau:
        raise InputError(
            f"{path}: geometry: the angles span {math.degrees(span):.0f} degrees; they must be radians, not degrees"
        )


def _check_version(path: Path, attributes: Any) -> None:
    if attributes.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path}: its format is {attributes['format']!r}, not {FORMAT!r}")
    if attributes.get("version", VERSION) != VERSION:
        raise InputError(f"{path}: sinogram format version {attributes['version']}; this program reads {VERSION}")


def _grid(path: Path, attributes: Any) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape (z, y, x) and affine of the volume, which must agree with the spacing if that is stated too."""
    try:
        z, y, x = (int(n) for n in attributes["shape"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: the attribute 'shape' must give the volume's (z, y, x) voxels") from None
    if min(z, y, x) < 1:
        raise InputError(f"{path}: the volume's shape is {z} x {y} x {x}; it must be positive")
    affine = read_affine(path, attributes)
    check_affine(path, affine)
    stated = np.ravel(attributes.get("spacing", spacing_of(affine)[::-1]))
    if stated.shape != (3,) or not np.allclose(stated, spacing_of(affine)[::-1], rtol=1e-3):
        raise InputError(
            f"{path}: 'spacing' is {stated.tolist()} mm, the affine says {spacing_of(affine)[::-1]} (z, y, x)"
        )
    return (z, y, x), affine


def _check_shapes(path: Path, data: tuple[int, ...], geometry: dict[str, Any], shape: tuple[int, int, int]) -> int:
    """The number of cells: the geometry's, or where it leaves that open the data's."""
    from physics.ct.geometry import geometry_from_dict

    with input_errors(f"{path}: geometry"):
        expected = geometry_from_dict(geometry)
    cells = expected.cells if expected.cells is not None else data[-1] if data else 0
    if data != (shape[0], expected.views, cells):
        raise InputError(
            f"{path}: the sinogram is {data}, but the volume has {shape[0]} slices and the geometry "
            f"{expected.views} views of {cells} cells"
        )
    return cells
