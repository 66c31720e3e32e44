"""Pixel-driven backprojection and its adjoint as compiled loops, see :mod:`physics.ct.backprojection`.

Arguments that all loops take: ``cos`` and ``sin`` (views,) of the views' angles; ``nearness`` (1,), the reciprocal of
the source's distance from the isocentre, 0 for parallel rays; ``y`` (rows,) and ``x`` (columns,) of the pixels, mm;
``scale`` (1,), cells per mm at the isocentre; ``centre`` (1,), the central ray's cell, with a fraction; ``cells``, the
number of cells. All but the last are of the data's type, so that everything is computed in it. Data may hold one cell
more than ``cells``, which has no part, and must hold two.
"""

from __future__ import annotations

import numpy as np

from physics.compiled import compiled


@compiled
def _places(cos, sin, nearness, y, x, scale, centre, cells, low, share, weight):  # type: ignore[no-untyped-def]
    """Where one view sees the pixels of a row: the lower cell, the share of the upper one, and the view's weight, which
    is 0 where no cell sees the pixel. The last three arguments are written."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    last = x.dtype.type(cells - 1)
    top = max(last - one, zero)
    across, depth, slope = y * sin, one + y * cos * nearness, sin * nearness
    for i in range(len(x)):
        inverse = one / (depth - x[i] * slope)
        cell = (across + x[i] * cos) * inverse * scale + centre
        below = min(max(np.floor(cell), zero), top)
        low[i] = np.int32(below)
        share[i] = cell - below
        weight[i] = inverse * inverse if (cell >= zero) & (cell <= last) else zero


@compiled
def backproject(data, cos, sin, nearness, y, x, scale, centre, cells, image, first, end):  # type: ignore[no-untyped-def]
    """Rows ``first`` to ``end`` of the images (slices, rows, columns) from data (slices, views, cells ≥ 2)."""
    slices, views, _ = data.shape
    columns = len(x)
    low = np.zeros(columns, np.int32)
    share, weight = np.zeros(columns, x.dtype), np.zeros(columns, x.dtype)
    for j in range(first, end):
        image[:, j] = 0
        for view in range(views):
            _places(cos[view], sin[view], nearness[0], y[j], x, scale[0], centre[0], cells, low, share, weight)
            for k in range(slices):
                seen, row = data[k, view], image[k, j]
                for i in range(columns):
                    below = seen[low[i]]
                    row[i] += weight[i] * (below + share[i] * (seen[low[i] + 1] - below))


@compiled
def project(images, cos, sin, nearness, y, x, scale, centre, cells, data, first, end):  # type: ignore[no-untyped-def]
    """The adjoint of :func:`backproject` for the views ``first`` to ``end``; ``data`` is zero at first."""
    slices = len(data)
    columns = len(x)
    low = np.zeros(columns, np.int32)
    share, weight = np.zeros(columns, x.dtype), np.zeros(columns, x.dtype)
    for view in range(first, end):
        for j in range(len(y)):
            _places(cos[view], sin[view], nearness[0], y[j], x, scale[0], centre[0], cells, low, share, weight)
            for k in range(slices):
                seen, row = data[k, view], images[k, j]
                for i in range(columns):
                    value = weight[i] * row[i]
                    seen[low[i]] += value - share[i] * value
                    seen[low[i] + 1] += share[i] * value
