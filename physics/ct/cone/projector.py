"""The cone-beam projector and its exact adjoint.

**Which model.** Joseph's: of the models that were measured (docs/cone-beam.md compares them) it is the most accurate
on smooth bodies for its time. No matrix is held: of a cone beam it would be larger than all data. Views whose rows are
parallel to the axis of rotation, as nearly all scanners have them, share most of the work between rows; others take
every ray for itself.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.views import ConeGeometry
from physics.norm import perron_bound
from physics.operator import LinearOperator

_BLOCK_BYTES = 64 * 2**20
"""Data of the views that are worked on at once."""

_CACHE_BYTES = 2**20
"""Voxels that all of these views go over before the next ones."""

BEFORE, BORDER = 1, 3
"""Voxels of the border before the volume along each axis, and in all."""

_STEEPEST = 1.0
"""Voxels along z that rays may cross in a step of their major axis of x and y before z becomes their major axis."""


class ConeProjector(LinearOperator):
    """Line integrals of attenuation along every ray of a cone beam.

    Maps (z, y, x) attenuation in 1/mm to (rows, views, cells) dimensionless line integrals. Work is shared by threads
    such that the result does not depend on their number.

    Args:
        geometry: scan geometry; rows and cells that it leaves open are chosen to cover the grid.
        grid: voxels of the volume.
        dtype: type of volume and data, float32 or float64.
        device: device of both.

    Attributes:
        geometry: scan geometry with its rows and cells decided.
        grid: voxels of the volume.

    Raises:
        ValueError: a geometry that does not fit the grid.
    """

    def __init__(
        self,
        geometry: ConeGeometry,
        grid: VolumeGrid,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.geometry, self.grid = geometry.covering(grid), grid
        self.dtype, self.device = dtype, torch.device(device)
        self.domain, self.range = grid.shape, self.geometry.scan_shape
        self._sources, self._columns, self._steps = _in_voxels(self.geometry, grid)
        self._upright = _upright(self._sources, self._columns, self._steps, self.range[0])

    def views(self, part: slice) -> ConeProjector:
        """The projector of some of the views."""
        return type(self)(self.geometry.part(part), self.grid, self.dtype, self.device)

    def filtered_adjoint(self, y: Tensor, window: str) -> Tensor:
        """The reconstruction of Feldkamp, Davis and Kress, see :func:`physics.ct.cone.fdk.fdk`."""
        from physics.ct.cone.fdk import fdk

        return fdk(y, self.geometry, self.grid, window)

    def _norm_bound(self) -> float:
        return perron_bound(self.gram, self.domain, self.dtype, self.device)

    def _forward(self, x: Tensor) -> Tensor:
        volumes = x.reshape(-1, *self.domain)
        data = x.new_empty((len(volumes), *self.range))
        for volume, target in zip(volumes, data, strict=True):
            self._project(volume, target)
        return data.reshape(*x.shape[:-3], *self.range)

    def _adjoint(self, y: Tensor) -> Tensor:
        data = y.reshape(-1, *self.range)
        volumes = y.new_empty((len(data), *self.domain))
        for each, target in zip(data, volumes, strict=True):
            self._backproject(each, target)
        return volumes.reshape(*y.shape[:-3], *self.domain)

    def _project(self, volume: Tensor, data: Tensor) -> None:
        """Line integrals of (z, y, x), written to (rows, views, cells)."""
        from physics.compiled import in_threads

        padded = _padded(volume)
        for part in self._blocks(data.element_size()):
            kernels, facts = self._kernels(part)
            block = _block_like(data, part)
            work = partial(kernels.project, padded, *facts, self._spacing(), self._slab(padded), block)
            in_threads(work, len(block))
            data[:, part] = torch.from_numpy(block).permute(2, 0, 1)

    def _backproject(self, data: Tensor, volume: Tensor) -> None:
        """The adjoint of (rows, views, cells), written to (z, y, x)."""
        from physics.compiled import in_threads

        z, y, x = volume.shape
        padded = np.zeros((y + BORDER, x + BORDER, z + BORDER), dtype=_numpy_type(volume))
        for part in self._blocks(data.element_size()):
            kernels, facts = self._kernels(part)
            block = _block_like(data, part)
            torch.from_numpy(block).copy_(data[:, part].permute(1, 2, 0))
            in_threads(partial(kernels.scale_views, block, *facts, self._spacing()), len(block))
            for axis, steps in self._major_axes(part, (x, y, z)):
                in_threads(partial(kernels.backproject, padded, axis, *facts, self._slab(padded), block), steps)
        inner = padded[BEFORE : BEFORE + y, BEFORE : BEFORE + x, BEFORE : BEFORE + z]
        volume.copy_(torch.from_numpy(inner).permute(2, 0, 1))

    def _blocks(self, bytes_each: int) -> list[slice]:
        """Views that are worked on at once, of one kind of detector each."""
        rows, views, cells = self.range
        most = max(1, _BLOCK_BYTES // (rows * cells * bytes_each))
        edges = sorted({0, views, *range(0, views, most), *(1 + np.flatnonzero(np.diff(self._upright))).tolist()})
        return [slice(first, last) for first, last in itertools.pairwise(edges)]

    def _kernels(self, part: slice) -> tuple[Any, tuple[np.ndarray, ...]]:
        """The loops of some views, and what they must know of them."""
        from physics.ct.cone import any_ray_kernels, joseph_kernels

        facts = self._sources[part], self._columns[part], self._steps[part]
        return (joseph_kernels if self._upright[part.start] else any_ray_kernels), facts

    def _major_axes(self, part: slice, sizes: tuple[int, int, int]) -> list[tuple[int | bool, int]]:
        """The major axes of rays as the loops of some views name them, and the number of steps along each."""
        x, y, _ = sizes
        return [(True, y), (False, x)] if self._upright[part.start] else list(enumerate(sizes))

    def _spacing(self) -> np.ndarray:
        return np.asarray(self.grid.spacing[::-1])

    def _slab(self, padded: np.ndarray) -> int:
        return max(1, _CACHE_BYTES // (padded[0].size * padded.itemsize))


def _in_voxels(geometry: ConeGeometry, grid: VolumeGrid) -> tuple[np.ndarray, ...]:
    """Sources, columns and steps in voxels from the first one of the border."""
    middle = (np.asarray(grid.shape[::-1]) - 1) / 2 + BEFORE
    rays = geometry.rays()
    return grid.indices(rays.sources) + middle, grid.indices(rays.columns) + middle, grid.indices(rays.steps)


def _upright(sources: np.ndarray, columns: np.ndarray, steps: np.ndarray, rows: int) -> np.ndarray:
    """(views,) bool, True where rows are parallel to z and no ray is steep."""
    along = columns - sources[:, None]
    flat = np.abs(along[..., :2]).max(-1)
    rise = np.maximum(np.abs(along[..., 2]), np.abs(along[..., 2] + (rows - 1) * steps[:, None, 2]))
    level = np.abs(steps[:, :2]).max(-1) <= 1e-12 * np.abs(steps[:, 2])
    return level & (rise <= _STEEPEST * flat).all(-1)


def _padded(volume: Tensor) -> np.ndarray:
    """(z, y, x) as (y, x, z) with the border of zeros."""
    z, y, x = volume.shape
    padded = np.zeros((y + BORDER, x + BORDER, z + BORDER), dtype=_numpy_type(volume))
    inner = torch.from_numpy(padded)[BEFORE : BEFORE + y, BEFORE : BEFORE + x, BEFORE : BEFORE + z]
    inner.copy_(volume.permute(1, 2, 0))
    return padded


def _block_like(data: Tensor, part: slice) -> np.ndarray:
    """(views, cells, rows) for some views of (rows, views, cells)."""
    rows, _, cells = data.shape
    return np.empty((part.stop - part.start, cells, rows), dtype=_numpy_type(data))


def _numpy_type(like: Tensor) -> np.dtype[Any]:
    return np.dtype({torch.float32: np.float32, torch.float64: np.float64}[like.dtype])
