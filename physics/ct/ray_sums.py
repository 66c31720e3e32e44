"""Line integrals without a system matrix, for scans that are projected once.

A matrix takes long to build and pays for iterations alone. What a simulated detector
reads, or what an estimate on a fine grid would have been read as, is computed here ray by ray: each ray steps along its
major axis, and adds up the pixels that it crosses, of all slices at once. The lengths are those of the matrix
(:func:`physics.ct.system_matrix.build_by_rays`).
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from physics.compiled import compiled, in_threads
from physics.ct.geometry import ImageGrid

_SLICES = 16
"""Slices that are added up at once; their sums stay in the processor's registers and first cache."""


def ray_sums(image: Tensor, kind: str, vectors: np.ndarray, cells: int, grid: ImageGrid) -> Tensor:
    """Line integrals of slices along the rays of some views.

    Args:
        image: (z, y, x) on ``grid``, on the CPU, real floating point.
        kind: ``"parallel"`` or ``"fan"``.
        vectors: (views, 6) source or direction, detector centre and cell step in mm, see
            :meth:`physics.ct.geometry.Detector.vectors`.
        cells: the number of detector cells.
        grid: the pixels.

    Returns:
        (z, views, cells) in the image's unit times mm.
    """
    found = image.new_empty((len(image), len(vectors), cells))
    for first in range(0, len(image), _SLICES):
        slab = image[first : first + _SLICES].detach().permute(1, 2, 0).contiguous().numpy()
        sums = np.empty((len(vectors), cells, slab.shape[2]), dtype=slab.dtype)
        in_threads(partial(_project_views, slab, kind == "parallel", vectors, *grid.spacing, sums), len(vectors))
        found[first : first + _SLICES] = torch.from_numpy(sums).permute(2, 0, 1)
    return found


@compiled
def _project_views(
    image: np.ndarray,
    parallel: bool,
    vectors: np.ndarray,
    row_mm: float,
    column_mm: float,
    sums: np.ndarray,
    first: int,
    last: int,
) -> None:
    """The views ``first`` to ``last`` of ``vectors``: ``image`` (ny, nx, slices) to ``sums`` (views, cells, slices)."""
    for view in range(first, last):
        _project_view(image, parallel, vectors[view], row_mm, column_mm, sums[view])


@compiled
def _project_view(
    image: np.ndarray, parallel: bool, vector: np.ndarray, row_mm: float, column_mm: float, sums: np.ndarray
) -> None:
    """The rays of one view: ``image`` (ny, nx, slices) to ``sums`` (cells, slices)."""
    ny, nx, slices = image.shape
    cells = sums.shape[0]
    total = np.zeros(slices, dtype=sums.dtype)
    for cell in range(cells):
        place = cell - (cells - 1) / 2
        x1, y1 = vector[2] + place * vector[4], vector[3] + place * vector[5]
        if parallel:
            x0, y0, dx, dy = x1, y1, vector[0], vector[1]
        else:
            x0, y0, dx, dy = vector[0], vector[1], x1 - vector[0], y1 - vector[1]
        length = math.sqrt(dx * dx + dy * dy)
        total[:] = 0
        # In pixels from the grid's corner; the major axis is the one along which more pixels are crossed.
        u0, v0 = x0 / column_mm + nx / 2, y0 / row_mm + ny / 2
        du, dv = dx / (length * column_mm), dy / (length * row_mm)
        if abs(dv) > abs(du):
            _add_along(image, v0, u0, dv, du, ny, nx, True, total)
        else:
            _add_along(image, u0, v0, du, dv, nx, ny, False, total)
        sums[cell] = total


@compiled
def _add_along(
    image: np.ndarray,
    along0: float,
    across0: float,
    along_step: float,
    across_step: float,
    along_size: int,
    across_size: int,
    rows: bool,
    total: np.ndarray,
) -> None:
    """Add up what a ray crosses, step by step of one pixel along its major axis, in each of which it is in at most two
    pixels.

    Args:
        image: (ny, nx, slices).
        along0, across0: a point of the ray in pixels from the corner, along the major axis and across it.
        along_step, across_step: pixels for each mm of the ray.
        along_size, across_size: pixels of the grid.
        rows: whether the major axis is that of the rows.
        total: (slices,) receives the sum in units of the image times mm.
    """
    per_pixel = abs(1 / along_step)  # mm of the ray for each pixel along
    slope = across_step / along_step
    for step in range(along_size):
        low = across0 + (step - along0) * slope
        high = low + slope
        if low > high:
            low, high = high, low
        if high <= 0 or low >= across_size:
            continue
        first = math.floor(low)
        share = 1.0 if high <= first + 1 else (first + 1 - low) / (high - low)
        if first >= 0:
            row, column = (step, first) if rows else (first, step)
            for each in range(total.shape[0]):
                total[each] += per_pixel * share * image[row, column, each]
        if share < 1 and first + 1 < across_size:
            row, column = (step, first + 1) if rows else (first + 1, step)
            for each in range(total.shape[0]):
                total[each] += per_pixel * (1 - share) * image[row, column, each]
