"""Cone-beam backprojection of filtered views as a compiled loop, see :mod:`physics.ct.cone.fdk`."""

from __future__ import annotations

import math

import numpy as np

from physics.compiled import compiled

_TILE = 4
"""Rows of voxels that a view is spread over before the next view."""


@compiled
def _rows_seen(start, step, rows, size, extended):  # type: ignore[no-untyped-def]
    """First voxel of a column that some row sees, and the one after the last; all of them if the outermost rows are
    taken for those beyond (``extended``)."""
    if extended:
        return 0, size
    first, last = -start / step, (rows - 1 - start) / step
    return max(0, math.ceil(max(first, -1.0))), min(size, math.floor(min(last, size + 1.0)) + 1)


@compiled
def _join_cells(one, other, lower, upper, first, last, line):  # type: ignore[no-untyped-def]
    """Two neighbouring cells from the row ``first`` to ``last`` as the one that lies between them."""
    begin = np.uint64(first)
    for k in range(last + 1 - first):
        row = begin + np.uint64(k)
        line[row] = lower * one[row] + upper * other[row]


@compiled
def _find_rows(start, step, top, first, last, below, upper_share):  # type: ignore[no-untyped-def]
    """Where the voxels ``first`` to ``last`` of a column read the rows: the lower row and the upper one's share."""
    kind, begin = upper_share.dtype.type, np.uint64(first)
    zero = kind(0.0)
    for k in range(last - first):
        z = begin + np.uint64(k)
        place = start + kind(np.int32(z)) * step
        place = place if place > zero else zero
        place = place if place < top else top
        low = np.int32(place)
        below[z] = low
        upper_share[z] = place - kind(low)


@compiled
def _spread_view(seen, cell, weight, start, step, extended, window, line, below, upper_share, column):  # type: ignore[no-untyped-def]
    """Add what one view gives to one column of voxels (z,)."""
    cells, rows = seen.shape
    kind = column.dtype.type
    first, last = _rows_seen(start, step, rows, len(column), extended)
    if first >= last:
        return
    low = min(int(cell), max(cells - 2, 0))
    share = kind(cell - low)
    one, other = seen[low], seen[min(low + 1, cells - 1)]
    upper, lower = kind(weight) * share, kind(weight) * (kind(1.0) - share)
    a, b = start + first * step, start + (last - 1) * step
    r0 = max(0, min(rows - 1, math.floor(min(a, b))))
    r1 = max(0, min(rows - 1, math.floor(max(a, b)) + 1))
    _join_cells(one, other, lower, upper, r0, r1, line)
    line[r1 + 1] = line[r1]
    _find_rows(kind(start), kind(step), kind(rows - 1), first, last, below, upper_share)
    begin = np.uint64(first)
    for k in range(last - first):
        z = begin + np.uint64(k)
        row = np.uint64(np.uint32(below[z]))
        value = line[row]
        column[z] += window[z] * (value + upper_share[z] * (line[row + np.uint64(1)] - value))


@compiled
def backproject(data, cos, sin, radius, height, facts, y, x, z, extended, window, volume, first, last):  # type: ignore[no-untyped-def]
    """Add some views to the rows ``first`` to ``last`` of the volume.

    Args:
        data: (views, cells, rows) filtered views on flat detectors whose rows are parallel to the axis.
        cos, sin, radius, height: (views,) of the view angle; distance of the source from the axis and its z, mm.
        facts: distance from source to detector, place of the first cell and cell width, place of the first row and row
            height, mm at the detector.
        y, x: (rows,) and (columns,) of the voxels, mm.
        z: first voxel along z and distance to the next, mm.
        extended: whether voxels beyond the outermost rows take those.
        window: (views, z) weights of each view for each slice.
        volume: (y, x, z), added to.
        first, last: the rows of voxels.
    """
    views, cells, rows = data.shape
    distance, cell0, cell_width, row0, row_height = facts[0], facts[1], facts[2], facts[3], facts[4]
    line = np.zeros(rows + 1, data.dtype)
    below, upper_share = np.zeros(len(volume[0, 0]), np.int32), np.zeros(len(volume[0, 0]), data.dtype)
    for tile in range(first, last, _TILE):
        for view in range(views):
            for j in range(tile, min(tile + _TILE, last)):
                across, depth = y[j] * sin[view], radius[view] + y[j] * cos[view]
                for i in range(len(x)):
                    far = depth - x[i] * sin[view]
                    scale = distance / far
                    cell = ((across + x[i] * cos[view]) * scale - cell0) / cell_width
                    if cell < 0.0 or cell > cells - 1:
                        continue
                    start = ((z[0] - height[view]) * scale - row0) / row_height
                    step = z[1] * scale / row_height
                    weight = (radius[view] / far) ** 2
                    _spread_view(
                        data[view],
                        cell,
                        weight,
                        start,
                        step,
                        extended,
                        window[view],
                        line,
                        below,
                        upper_share,
                        volume[j, i],
                    )
