"""Where DICOM slices lie in space: their order, their spacing, and what makes them no regular grid.

Geometry of the Image Plane module, DICOM PS3.3 section C.7.6.2; DICOM's axes are LPS, the affine is RAS+.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.dicom.frames import Slice
from recon.io.orientation import MAX_SHEAR

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_DRIFT = 0.2
"""Tolerated distance of a slice from its place on the regular grid, in slice spacings: rounded positions stay
below it, and a missing slice among three or more shifts a neighbour by a third of a spacing at least."""
_ROUNDING = 0.1
"""Positions are often rounded to this many mm."""


_JITTER = 2.5e-3
"""Tolerated difference of two slices' direction cosines (0.15 degrees): reconstructions round them differently."""
_TOLD = 5e-5
"""Difference of direction cosines from which it is told that their mean was taken."""
_SIZES = (1e-4, 1e4)
_FARTHEST = 1e6
"""Plausible voxel sizes and positions, mm; what lies beyond is damage."""


@dataclass(frozen=True)
class Stack:
    """Where slices lie.

    Attributes:
        order: places of the slices in the list that was given, in ascending order along the normal.
        affine: (4, 4) affine of the (column, row, slice) array.
        notices: what was decided.
        skew: how the slices lie beside the grid of ``affine``; None where they lie on it.
    """

    order: list[int]
    affine: np.ndarray
    notices: tuple[str, ...] = ()
    skew: Skew | None = None


@dataclass(frozen=True)
class Skew:
    """How slices lie beside the regular grid of a :class:`Stack`, to which they can be resampled.

    Attributes:
        heights: (slices,) distance from the first slice along the normal, in steps of the grid, ascending.
        shifts: (slices, 2) displacement along rows and columns of the picture (down, right) from the first, in pixels.
    """

    heights: np.ndarray
    shifts: np.ndarray


def stack_slices(folder: Path, headers: list[Slice], resample: bool = False) -> Stack:
    """Sort the slices of one series by position.

    Args:
        folder: the series' folder, for messages.
        headers: the slices.
        resample: whether uneven distances and a tilted gantry are accepted, and told by ``Stack.skew``.

    Raises:
        InputError: missing or differing orientation, size or pixel spacing; two slices at one position; a gap;
            a tilted gantry (slices shifted sideways).
    """
    orientation, jitter = _orientation(folder, headers)
    spacing = _common(folder, headers, "PixelSpacing", 2, 1e-4)
    if not (_SIZES[0] <= spacing.min() and spacing.max() <= _SIZES[1]):
        raise InputError(f"{folder}: PixelSpacing is {spacing.tolist()} mm; the file is damaged")
    for keyword in ("Rows", "Columns"):
        _common(folder, headers, keyword, 1, 0)
    row, column = _unit_vectors(folder, orientation)
    normal = np.cross(row, column)
    positions = np.stack([_numbers(folder, header, "ImagePositionPatient", 3) for header in headers])
    if np.abs(positions).max() > _FARTHEST:
        raise InputError(f"{folder}: ImagePositionPatient is beyond {_FARTHEST:g} mm; the file is damaged")
    order = np.argsort(positions @ normal, kind="stable")
    sorted_headers, places = [headers[k] for k in order], positions[order]
    skew: Skew | None = None
    told: tuple[str, ...] = ()
    if resample and len(headers) > 1:
        step, skew, told = _skewed(folder, sorted_headers, places, (row, column, normal), spacing)
    else:
        step = _step(folder, sorted_headers, places, normal)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * spacing[1], column * spacing[0]
    affine[:3, 2], affine[:3, 3] = step, positions[order[0]]
    return Stack([int(k) for k in order], _LPS_TO_RAS @ affine, (*jitter, *told), skew)


def _skewed(
    folder: Path,
    headers: list[Slice],
    positions: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    spacing: np.ndarray,
) -> tuple[np.ndarray, Skew | None, tuple[str, ...]]:
    """The step of a regular grid, how the slices lie beside it, and a notice; no skew where they lie on it."""
    try:
        return _step(folder, headers, positions, axes[2]), None, ()
    except InputError:
        row, column, normal = axes
        steps = positions - positions[0]
        heights = steps @ normal
        gaps = np.diff(heights)
        if gaps.min() <= _DRIFT * max(float(np.median(gaps)), 1e-3):
            raise  # a slice twice is no matter of resampling
        step = float(np.median(gaps))
        shifts = np.stack([steps @ column / spacing[0], steps @ row / spacing[1]], axis=1)
        sideways = float(np.abs(shifts * spacing).max())
        notice = (
            f"the slices, {gaps.min():.4g} to {gaps.max():.4g} mm apart and shifted sideways by up to {sideways:.4g} "
            f"mm, were resampled to a regular grid, {step:.4g} mm apart (linear interpolation)"
        )
        return normal * step, Skew(heights / step, shifts), (notice,)


def _orientation(folder: Path, headers: list[Slice]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The mean of the slices' (2, 3) orientations, which may differ by rounding."""
    values = np.stack([_numbers(folder, header, "ImageOrientationPatient", 6) for header in headers])
    apart = np.abs(values - values[0]).max(axis=1)
    if apart.max() > _JITTER:
        raise InputError(
            f"{folder}: ImageOrientationPatient differs between {headers[0].name} and "
            f"{headers[int(apart.argmax())].name}; the slices of a volume share it"
        )
    notice = f"the slices' orientations differ by up to {apart.max():.2g} of a cosine; their mean was taken"
    return values.mean(axis=0).reshape(2, 3), (notice,) if apart.max() > _TOLD else ()


def _step(folder: Path, headers: list[Slice], positions: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The vector from a slice to the next, along the normal, mm."""
    if len(headers) == 1:
        return normal * _thickness(folder, headers[0])
    distances = positions @ normal
    gaps = np.diff(distances)
    typical = float(np.median(gaps))
    if gaps.min() <= _DRIFT * max(typical, 1e-3):
        where = int(gaps.argmin())
        raise InputError(
            f"{folder}: {_names(headers, where)} lie at the same position ({distances[where]:.2f} mm): "
            "several phases or echoes, or a slice twice; keep one of each position"
        )
    mean = float(gaps.mean())
    if np.abs(distances - distances[0] - mean * np.arange(len(headers))).max() > _DRIFT * typical:
        where = int(np.abs(gaps - typical).argmax())
        raise InputError(
            f"{folder}: the slices are not evenly spaced: {gaps[where]:.2f} mm between {_names(headers, where)} (at "
            f"{distances[where]:.2f} mm), {typical:.2f} mm elsewhere; is a slice missing? `resample` interpolates"
        )
    _refuse_tilt(folder, positions, normal)
    return normal * mean


def _refuse_tilt(folder: Path, positions: np.ndarray, normal: np.ndarray) -> None:
    steps = positions - positions[0]
    sideways = np.linalg.norm(steps - np.outer(steps @ normal, normal), axis=1).max()
    height = float((steps @ normal)[-1])
    if sideways > MAX_SHEAR * height + _ROUNDING:
        angle = np.degrees(np.arctan2(sideways, height))
        raise InputError(
            f"{folder}: the slices are shifted sideways by up to {sideways:.1f} mm (gantry tilt of {angle:.1f} "
            "degrees); give `resample` to have them on a regular grid"
        )


def _thickness(folder: Path, header: Slice) -> float:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        if header.get(keyword):
            return abs(float(_numbers(folder, header, keyword, 1)[0]))
    raise InputError(f"{folder}: a single slice without SliceThickness: its depth in mm is unknown")


def _unit_vectors(folder: Path, orientation: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(orientation, axis=1, keepdims=True)
    if (np.abs(lengths - 1) > 1e-2).any() or abs(float(orientation[0] @ orientation[1])) > MAX_SHEAR:
        raise InputError(
            f"{folder}: ImageOrientationPatient is {orientation.ravel().tolist()}, not two unit vectors at 90 degrees"
        )
    return orientation / lengths


def _common(folder: Path, headers: list[Slice], keyword: str, count: int, tolerance: float) -> np.ndarray:
    """The numbers under ``keyword``, which all slices must share."""
    values = np.stack([_numbers(folder, header, keyword, count) for header in headers])
    different = np.flatnonzero(np.abs(values - values[0]).max(axis=1) > tolerance)
    if len(different):
        raise InputError(
            f"{folder}: {keyword} differs between {headers[0].name} and {headers[different[0]].name}; "
            "the slices of a volume share it"
        )
    if count < 6 and values[0].min() <= 0:
        raise InputError(f"{folder}: {keyword} is {values[0].tolist()}; it must be positive")
    return np.asarray(values[0])


def _numbers(folder: Path, header: Slice, keyword: str, count: int) -> np.ndarray:
    try:
        values = np.atleast_1d(np.asarray(header.get(keyword), float))
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise InputError(f"{folder}: {header.name} has no valid {keyword}, which places a slice in space")
    return values


def _names(headers: list[Slice], first: int) -> str:
    return f"{headers[first].name} and {headers[first + 1].name}"
