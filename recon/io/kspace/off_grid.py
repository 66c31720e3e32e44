"""From samples along a trajectory, as a file holds them, to a checked k-space, whatever the format.

Trajectories come in cycles per voxel, −½ to ½, or in cycles per field of view, as BART has them. A third coordinate is
the partition of a stack: it is the same for all samples of a readout, and partitions lie evenly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_values
from recon.io.kspace.checks import unknown_geometry
from recon.io.kspace.partitions import along_partitions

if TYPE_CHECKING:
    from recon.scan.non_cartesian_kspace import NonCartesianKSpace

_EDGE = 0.5
_ROUNDING = 2e-3
"""Cycles per voxel by which coordinates may exceed ½ in files: rounding, and delays that were measured."""

_EVEN = 0.05
"""Part of a step along kz that a partition may lie off the grid."""

STACK = "stack of stars: all partitions have one trajectory, and were transformed to slices"


@dataclass(frozen=True)
class RawOffGrid:
    """What a reader found.

    Attributes:
        path: the file.
        format: the format, a field of :class:`recon.scan.volume.Source`.
        data: (planes, coils, readouts, samples) complex64.
        trajectory: (readouts, samples, 2 or 3), or (planes, readouts, samples, 2), along y, x and perhaps z.
        matrix: (y, x) voxels of the image; None where neither the file nor the user says it.
        field_of_view: (y, x) of the coordinates, in voxels of the image; None: that of the image. It counts only for
            coordinates in cycles per field of view.
        kind: the trajectory in a word.
        measured, reference, noise_readouts, affine, meta, notices: the fields of
            :class:`recon.scan.non_cartesian_kspace.NonCartesianKSpace`.
    """

    path: Path
    format: str
    data: np.ndarray
    trajectory: np.ndarray
    matrix: tuple[int, int] | None = None
    field_of_view: tuple[float, float] | None = None
    kind: str = "other"
    affine: np.ndarray = field(default_factory=lambda: np.eye(4))
    measured: np.ndarray | None = None
    reference: np.ndarray | None = None
    noise_readouts: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def checked_off_grid(raw: RawOffGrid) -> NonCartesianKSpace:
    """The k-space, its trajectory in cycles per voxel, partitions of one trajectory transformed to slices.

    Raises:
        InputError: NaN, infinity, nothing but zeros, coordinates that do not fit the data or the image, partitions
            that lie unevenly.
    """
    import torch

    from recon.scan.non_cartesian_kspace import NonCartesianKSpace
    from recon.scan.volume import Source

    _check(raw)
    raw = _without_third(raw)
    trajectory, matrix = _per_voxel(raw)
    raw = _as_slices(replace(raw, trajectory=_shared(trajectory)))
    y, x = matrix
    meta = {"spacing_known": False, "orientation_known": False, "trajectory": raw.kind} | raw.meta
    source = Source(
        raw.path,
        raw.format,
        raw.affine,
        (x, y, len(raw.data)),
        spacing_known=bool(meta["spacing_known"]),
        orientation_known=bool(meta["orientation_known"]),
    )
    if raw.reference is not None and raw.reference.shape != (len(raw.data), y, x):
        raise InputError(f"{raw.path}: the reference image is {raw.reference.shape}, not {(len(raw.data), y, x)}")
    return NonCartesianKSpace(
        data=torch.from_numpy(np.ascontiguousarray(raw.data, np.complex64)),
        trajectory=torch.from_numpy(np.ascontiguousarray(raw.trajectory, np.float64)),
        image_shape=matrix,
        affine=raw.affine,
        kind=raw.kind,
        measured=None if raw.measured is None else torch.from_numpy(raw.measured.copy()),
        noise_readouts=None if raw.noise_readouts is None else torch.from_numpy(raw.noise_readouts),
        reference=None if raw.reference is None else torch.from_numpy(np.asarray(raw.reference, np.float32)),
        meta=meta,
        source=source,
        notices=(*raw.notices, *unknown_geometry(source)),
    )


def _check(raw: RawOffGrid) -> None:
    path, data, trajectory = raw.path, raw.data, raw.trajectory
    if data.ndim != 4 or data.size == 0:
        raise InputError(f"{path}: k-space of shape {data.shape}; planes, coils, readouts and samples are needed")
    if not data.any():
        raise InputError(f"{path}: the k-space is zero everywhere: there is nothing in it")
    check_values(path, data, "k-space")
    if trajectory.shape[-1] not in (2, 3) or trajectory.ndim not in (3, 4):
        raise InputError(f"{path}: a trajectory is (readouts, samples, 2 or 3), not {trajectory.shape}")
    check_values(path, trajectory, "trajectory")
    if trajectory.shape[-3:-1] != data.shape[-2:] or (trajectory.ndim == 4 and len(trajectory) != len(data)):
        raise InputError(
            f"{path}: a trajectory of {trajectory.shape[-3]} readouts of {trajectory.shape[-2]} samples, k-space of "
            f"{data.shape[-2]} readouts of {data.shape[-1]}; they must be alike"
        )


def _without_third(raw: RawOffGrid) -> RawOffGrid:
    """The same without a third coordinate: the readouts of a stack are sorted into its partitions."""
    trajectory = raw.trajectory
    if trajectory.shape[-1] == 2:
        return raw
    along_z = trajectory[..., 2]
    if not along_z.any():
        return replace(raw, trajectory=trajectory[..., :2])
    spread = np.ptp(along_z, axis=-1).max()
    if trajectory.ndim == 4 or len(raw.data) > 1 or spread > _EVEN * max(_step(along_z), 1e-9):
        raise InputError(
            f"{raw.path}: a 3D trajectory whose third coordinate changes along a readout; only stacks of 2D "
            "trajectories can be reconstructed"
        )
    return _sorted_stack(raw, along_z.mean(-1))


def _step(values: np.ndarray) -> float:
    """Least distance of values that are not rounding of one another."""
    gaps = np.diff(np.unique(np.round(values, 6)))
    return float(gaps.min()) if gaps.size else 0.0


def _sorted_stack(raw: RawOffGrid, height: np.ndarray) -> RawOffGrid:
    """(kz, coils, readouts, samples) of readouts at heights along kz, in cycles per field of view or per partition."""
    per_voxel = np.abs(height).max() <= _EDGE + _ROUNDING
    steps = height / _step(height) if per_voxel else height
    index = np.round(steps).astype(int)
    if np.abs(steps - index).max() > _EVEN:
        raise InputError(f"{raw.path}: the partitions do not lie evenly along kz; only Cartesian stacks can be read")
    low, high = int(index.min()), int(index.max())
    depth = high - low + 1 if -low in (high, high + 1) else 2 * max(-low, high + 1)
    counts = np.bincount(index + depth // 2, minlength=depth)
    if len(set(counts[counts > 0])) != 1:
        raise InputError(
            f"{raw.path}: partitions of {counts[counts > 0].min()} to {counts.max()} readouts; all need as many"
        )
    readouts = int(counts.max())
    data = np.zeros((depth, raw.data.shape[1], readouts, raw.data.shape[-1]), np.complex64)
    trajectory = np.zeros((depth, readouts, raw.data.shape[-1], 2))
    for plane in np.flatnonzero(counts):
        chosen = np.flatnonzero(index + depth // 2 == plane)
        data[plane], trajectory[plane] = raw.data[0][:, chosen], raw.trajectory[chosen, :, :2]
    trajectory[counts == 0] = trajectory[np.flatnonzero(counts)[0]]  # nothing is measured there, along any trajectory
    return replace(raw, data=data, trajectory=trajectory, measured=counts > 0)


def _per_voxel(raw: RawOffGrid) -> tuple[np.ndarray, tuple[int, int]]:
    """The coordinates in cycles per voxel, and the (y, x) voxels of the image."""
    largest, matrix = float(np.abs(raw.trajectory).max()), raw.matrix
    if largest > _EDGE + _ROUNDING:
        side = 2 * int(np.ceil(largest - _ROUNDING))
        matrix = matrix or (side, side)
        trajectory = raw.trajectory / np.asarray(raw.field_of_view or matrix, float)
    else:
        trajectory = raw.trajectory
    if matrix is None:
        raise InputError(
            f"{raw.path}: its trajectory is in cycles per voxel, and nothing says how many voxels the image has: give "
            "`matrix`, such as `matrix` 256,256"
        )
    if min(matrix) < 2:
        raise InputError(f"`matrix` {matrix[0]},{matrix[1]}: must be two numbers of voxels, 2 or more")
    reached = float(np.abs(trajectory).max())
    if reached > _EDGE + _ROUNDING:
        least = 2 * int(np.ceil(largest - _ROUNDING))
        raise InputError(
            f"{raw.path}: the trajectory reaches {reached:.3g} cycles per voxel of an image of {matrix[0]} x "
            f"{matrix[1]}, at most 0.5 is possible; `matrix` {least},{least} would hold it"
        )
    return np.clip(trajectory, -_EDGE, _EDGE), matrix


def _shared(trajectory: np.ndarray) -> np.ndarray:
    """The one trajectory of planes that have the same."""
    alike = trajectory.ndim == 4 and bool((np.abs(trajectory - trajectory[:1]) < 1e-6).all())
    return trajectory[0] if alike else trajectory


def _as_slices(raw: RawOffGrid) -> RawOffGrid:
    """A whole stack of one trajectory as slices; any other as it is."""
    if raw.measured is None or not raw.measured.all() or raw.trajectory.ndim == 4:
        return raw
    return replace(raw, data=along_partitions(raw.data), measured=None, notices=(*raw.notices, STACK))
