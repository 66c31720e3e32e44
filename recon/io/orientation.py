"""From an array as a file stores it to canonical RAS+ and back, without resampling.

Only axis permutations and flips are applied; an oblique affine stays oblique (nibabel's "closest canonical").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import InputError

MAX_SHEAR = 5e-3
"""Largest cosine between two voxel axes that still counts as a right angle (0.3 degrees)."""


def check_affine(path: Path, affine: np.ndarray) -> None:
    """:class:`InputError` unless the (4, 4) ``affine`` is finite, regular and without shear."""
    if not np.isfinite(affine).all():
        raise InputError(f"{path}: the affine holds NaN or infinity; it must place the voxels in millimetres")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not (spacing > 1e-6).all():
        raise InputError(f"{path}: the voxel size is {numbers(spacing)} mm; it must be positive along every axis")
    axes = affine[:3, :3] / spacing
    shear = np.abs(axes.T @ axes - np.eye(3)).max()
    if shear > MAX_SHEAR:
        angle = np.degrees(np.arccos(min(1.0, float(shear))))
        raise InputError(
            f"{path}: the affine is sheared or singular (two voxel axes meet at {angle:.1f} degrees); "
            "resample the volume to right angles first"
        )


def to_canonical(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A stored (i, j, k) array as a contiguous RAS+ (z, y, x) array, and the (x, y, z) affine of that."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(affine)
    canonical = apply_orientation(array, orientation)
    return _contiguous(canonical.T), affine @ inv_ornt_aff(orientation, array.shape)


def _contiguous(array: np.ndarray) -> np.ndarray:
    """A contiguous array without negative strides, which numpy lets pass for axes of length 1 and torch refuses."""
    array = np.ascontiguousarray(array)
    return array.copy() if min(array.strides) < 0 else array


def from_canonical(array: np.ndarray, affine: np.ndarray, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reverse: a (z, y, x) array with its (x, y, z) affine, in the axis order and directions of the affine
    ``like``. Returns the (i, j, k) array and its affine."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

    transform = ornt_transform(io_orientation(affine), io_orientation(like))
    xyz = array.T
    return apply_orientation(xyz, transform), affine @ inv_ornt_aff(transform, xyz.shape)


def axis_codes(affine: np.ndarray) -> str:
    """The directions in which the array's indices grow, such as ``"LPS"``."""
    from nibabel.orientations import aff2axcodes

    return "".join(aff2axcodes(affine))


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Voxel size along the array's axes (i, j, k) in mm."""
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0)
    return float(i), float(j), float(k)


def numbers(values: np.ndarray) -> str:
    """Sizes as text, such as ``1.5 x 1.5 x 3``."""
    return " x ".join(f"{value:g}" for value in values)
