"""Volumes on other grids: which voxels a grid has, and the anti-aliased interpolation to it (Keys 1981).

A grid is rectilinear: along each axis the positions of its voxels' centres, in voxels of the volume that it is laid
over (0 is the centre of the first voxel), and the edge of its own voxels in that unit, the cell. Where a cell is larger
than a voxel of the volume, the interpolation's kernel is as much wider, so that nothing aliases; where it is smaller,
the kernel is that of plain interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["linear", "cubic"]

MOST_FINER, MOST_COARSER = 16.0, 16.0
"""The largest ratio of the voxel sizes of two grids; beyond it nothing of the volume is left, or nothing is new."""


def _linear(distance: Tensor) -> Tensor:
    return (1 - distance).clamp_min(0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2, which is exact for parabolas."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))


_KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {"linear": (_linear, 1.0), "cubic": (_cubic, 2.0)}
"""Each kernel as a function of the distance in voxels, and the distance at which it ends."""


@dataclass(frozen=True)
class Axis:
    """One axis of a grid.

    Attributes:
        first: the position of the first voxel's centre.
        cell: the edge of a voxel, which is the step from one voxel to the next.
        count: the number of voxels.
    """

    first: float
    cell: float
    count: int

    def positions(self) -> Tensor:
        """The positions (count,) of the voxels' centres, float64."""
        return self.first + self.cell * torch.arange(self.count, dtype=torch.float64)


def axis_over(size: int, cell: float) -> Axis:
    """The axis of a grid over ``size`` voxels: as many cells as come nearest to their extent, about the same middle.

    Raises:
        ValueError: a cell that is no such length, or so large or small that the grid would have no use.
    """
    if not math.isfinite(cell) or not 1 / MOST_FINER <= cell <= MOST_COARSER:
        raise ValueError(
            f"voxels of {cell:.4g} times the edge; 1/{MOST_FINER:.0f} to {MOST_COARSER:.0f} times is possible"
        )
    count = round(size / cell)
    if count < 1:
        raise ValueError(f"voxels of {cell:.4g} times the edge are wider than all {size} voxels together")
    return Axis((size - 1) / 2 - cell * (count - 1) / 2, cell, count)


def weights(positions: Tensor, cell: float, size: int, kernel: Kernel = "cubic") -> Tensor:
    """The weights (n, size) with which ``size`` voxels make the values at positions (n,); float64, each row sums to 1.

    Beyond its ends an axis goes on with its first and last voxel.
    """
    function, reach = _KERNELS[kernel]
    width = max(cell, 1.0)
    taps = math.ceil(reach * width)
    offsets = torch.arange(-taps, taps + 1)
    voxels = positions.double().round()[:, None] + offsets
    values = function((voxels - positions.double()[:, None]).abs() / width)
    values = values / values.sum(1, keepdim=True)
    dense = torch.zeros(len(positions), size, dtype=torch.float64)
    return dense.scatter_add_(1, voxels.long().clamp(0, size - 1), values)


def used(rows: Tensor) -> tuple[Tensor, slice]:
    """Weights (n, size) without the voxels at both ends that have no weight, and the voxels that are left."""
    voxels = rows.abs().sum(0).nonzero()
    part = slice(int(voxels[0]), int(voxels[-1]) + 1)
    return rows[:, part], part


def resampled(image: Tensor, axes: Sequence[Axis], kernel: Kernel = "cubic") -> Tensor:
    """A volume (..., Z, X, Y) on another grid, anti-aliased.

    Args:
        image: the volume.
        axes: the axes (z, x, y) of the grid.
        kernel: the interpolation, ``cubic`` or ``linear``.

    Returns:
        (..., Z', X', Y').
    """
    z, x, y = (
        weights(axis.positions(), axis.cell, size, kernel) for axis, size in zip(axes, image.shape[-3:], strict=True)
    )
    return weighted(image, z, x, y)


def weighted(image: Tensor, z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A volume (..., Z, X, Y) with each axis replaced by weighted sums, whose weights are (n, Z), (n, X) and (n, Y)."""
    z, x, y = (each.to(image) for each in (z, x, y))
    partial = image @ y.T
    partial = x @ partial
    return torch.einsum("az,...zxy->...axy", z, partial)
