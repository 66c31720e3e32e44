"""One grid for all volumes of a case: neither voxel size nor field of view tells a reader which method it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_TOLERANCE = 1e-3
"""The part of a voxel by which a volume may be too small for the last voxel of the grid."""


@dataclass(frozen=True)
class Grid:
    """A regular grid around the middle of the volume.

    Attributes:
        shape: number of voxels (z, y, x).
        spacing: voxel size (z, y, x) in mm.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def extent(self) -> tuple[float, ...]:
        """Size (z, y, x) in mm."""
        return tuple(n * step for n, step in zip(self.shape, self.spacing, strict=True))

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))


def common_grid(grids: Sequence[Grid]) -> Grid:
    """The grid with the largest spacing of all along each axis, in the field of view that all have."""
    spacing = tuple(max(grid.spacing[axis] for grid in grids) for axis in range(3))
    return _within(tuple(min(grid.extent[axis] for grid in grids) for axis in range(3)), spacing)


def coarser(grid: Grid, voxels: int) -> Grid:
    """A grid of at most about ``voxels`` voxels in the same field of view; the finest axes become coarser first."""
    low, high = min(grid.spacing), max(grid.extent)
    for _ in range(40):
        middle = (low + high) / 2
        fits = _within(grid.extent, tuple(max(step, middle) for step in grid.spacing)).voxels <= voxels
        low, high = (low, middle) if fits else (middle, high)
    return _within(grid.extent, tuple(max(step, high) for step in grid.spacing))


def _within(extent: tuple[float, ...], spacing: tuple[float, ...]) -> Grid:
    shape = tuple(max(1, int(size / step + _TOLERANCE)) for size, step in zip(extent, spacing, strict=True))
    return Grid(shape, spacing)


def resample(image: np.ndarray, own: Grid, grid: Grid) -> np.ndarray:
    """A (z, y, x) volume on a grid that is nowhere finer than its own, float32, middle on middle.

    Each new voxel is the mean of what it covers, so that nothing aliases; where it reaches over the edge of the volume,
    by less than a thousandth of a voxel, the outermost voxels count.
    """
    if own == grid:
        return image.astype(np.float32)
    for axis in range(3):
        weights = _overlaps(own.shape[axis], own.spacing[axis], grid.shape[axis], grid.spacing[axis])
        image = np.moveaxis(np.tensordot(weights, image, axes=(1, axis)), 0, axis)
    return image.astype(np.float32)


def _overlaps(count: int, step: float, new_count: int, new_step: float) -> np.ndarray:
    """(new_count, count) shares of the old voxels in the new ones; each row sums to 1."""
    edges = (np.arange(count + 1) - count / 2) * step
    new_edges = (np.arange(new_count + 1) - new_count / 2) * new_step
    upper = np.minimum(edges[1:], new_edges[1:, None])
    lower = np.maximum(edges[:-1], new_edges[:-1, None])
    shares = np.clip(upper - lower, 0, None)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
