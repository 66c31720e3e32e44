"""Joseph's projector of cone beams whose detector rows are parallel to the axis of rotation, and its adjoint.

A ray steps along its major axis of x and y, one voxel a step, and reads the volume between the two nearest columns of
voxels and the two nearest slices (Joseph 1982, IEEE Trans Med Imaging 1:192). The rays of all rows of one cell run
above each other: in each step they read the same two columns, at places that are evenly spaced along z. So the two
columns are joined once, and all rows read the joined one. The adjoint does the same steps backwards, with the same
numbers.

Volumes are (y, x, z) with a border of zeros, one voxel before and two behind along each axis, and data (views, cells,
rows), so that what is read together lies together. Places are in voxels from the first one of the border. Volumes are
worked on by slabs of a few steps, which stay in the cache while all views go over them.
"""

from __future__ import annotations

import math

import numpy as np

from physics.compiled import compiled

_CHAINS = 4
"""Sums of the adjoint that run beside each other: a sum that waits for the last one is slow."""


@compiled
def _places(q, dz, top, first, last, low, share):  # type: ignore[no-untyped-def]
    """Where the rows ``first`` to ``last`` read a column: the lower voxel and the upper one's share."""
    zero, begin = share.dtype.type(0), np.uint64(first)
    for k in range(last - first):
        row = begin + np.uint64(k)
        place = q + share.dtype.type(np.int32(row)) * dz
        place = place if place > zero else zero
        place = place if place < top else top
        below = np.int32(place)
        low[row] = below
        share[row] = place - share.dtype.type(below)


@compiled
def _rows_inside(q, dz, top, rows):  # type: ignore[no-untyped-def]
    """First row that reads between the places 0 and ``top``, and the one after the last."""
    if dz == 0.0:
        return (0, rows) if 0.0 < q < top else (0, 0)
    one, other = -q / dz, (top - q) / dz
    first, last = min(one, other), max(one, other)
    return max(0, math.floor(max(first, -1.0))), min(rows, math.ceil(min(last, rows + 1.0)) + 1)


@compiled
def _crossing(step, along_y, source, target, step_z, width, top, rows):  # type: ignore[no-untyped-def]
    """Where the rays of a cell cross one step of their major axis.

    Returns:
        The place across, the lowest row's place along z, the distance between rows there, the first row that is inside
        and the one after the last (none: the rays miss the volume), and the lowest and highest voxel that they read.
    """
    major, minor = (1, 0) if along_y else (0, 1)
    t = (step - source[major]) / (target[major] - source[major])
    place = source[minor] + t * (target[minor] - source[minor])
    q, dz = source[2] + t * (target[2] - source[2]), t * step_z
    if t <= 0.0 or place <= 0.0 or place >= width:
        return place, q, dz, 0, 0, 0, 0
    first, last = _rows_inside(q, dz, top, rows)
    one, other = q + first * dz, q + (last - 1) * dz
    low = max(0, math.floor(max(min(one, other), 0.0)))
    high = math.ceil(min(max(one, other), top)) + 1
    return place, q, dz, first, last, low, high


@compiled
def _join(one, other, left_share, right_share, z0, z1, line):  # type: ignore[no-untyped-def]
    """Two neighbouring columns from ``z0`` to ``z1`` as the one that lies between them."""
    begin = np.uint64(z0)
    for k in range(z1 + 1 - z0):
        z = begin + np.uint64(k)
        line[z] = left_share * one[z] + right_share * other[z]


@compiled
def _read(line, first, last, low, share, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums`` what the rows read of a joined column."""
    begin = np.uint64(first)
    for k in range(last - first):
        row = begin + np.uint64(k)
        below = np.uint64(np.uint32(low[row]))
        value = line[below]
        sums[row] += value + share[row] * (line[below + np.uint64(1)] - value)


@compiled
def _project_rays(volume, along_y, start, end, source, target, step_z, sums, line, low, share):  # type: ignore[no-untyped-def]
    """Add what the rays of one cell read in the steps ``start`` to ``end`` to ``sums`` (rows,)."""
    ny, nx, nz = volume.shape
    rows, kind = sums.shape[0], volume.dtype.type
    width, top = (nx if along_y else ny) - 2.0, nz - 2.0
    for step in range(start, end):
        place, q, dz, first, last, z0, z1 = _crossing(step, along_y, source, target, step_z, width, top, rows)
        if first >= last:
            continue
        left = int(place)
        right_share = kind(place - left)
        left_share = kind(1.0) - right_share
        one = volume[step, left] if along_y else volume[left, step]
        other = volume[step, left + 1] if along_y else volume[left + 1, step]
        _join(one, other, left_share, right_share, z0, z1, line)
        _places(kind(q), kind(dz), kind(top), first, last, low, share)
        _read(line, first, last, low, share, sums)


@compiled
def _spread(line, low, share, value):  # type: ignore[no-untyped-def]
    below = np.uint64(np.uint32(low))
    upper = share * value
    line[below] += value - upper
    line[below + np.uint64(1)] += upper


@compiled
def _spread_rows(sums, first, last, low, share, lines, z0, z1):  # type: ignore[no-untyped-def]
    """The adjoint of reading a joined column, as four parts of it."""
    line0, line1, line2, line3 = lines[0], lines[1], lines[2], lines[3]
    begin = np.uint64(z0)
    for k in range(z1 + 1 - z0):
        z = begin + np.uint64(k)
        line0[z] = line1[z] = line2[z] = line3[z] = 0
    one, begin, whole = np.uint64(1), np.uint64(first), (last - first) // 4
    for k in range(whole):
        row = begin + np.uint64(4 * k)
        _spread(line0, low[row], share[row], sums[row])
        row += one
        _spread(line1, low[row], share[row], sums[row])
        row += one
        _spread(line2, low[row], share[row], sums[row])
        row += one
        _spread(line3, low[row], share[row], sums[row])
    for k in range(first + 4 * whole, last):
        row = np.uint64(k)
        _spread(line0, low[row], share[row], sums[row])


@compiled
def _backproject_rays(volume, along_y, start, end, source, target, step_z, sums, lines, low, share):  # type: ignore[no-untyped-def]
    """The adjoint of :func:`_project_rays`: add what ``sums`` gives to the volume."""
    ny, nx, nz = volume.shape
    rows, kind = sums.shape[0], volume.dtype.type
    width, top = (nx if along_y else ny) - 2.0, nz - 2.0
    for step in range(start, end):
        place, q, dz, first, last, z0, z1 = _crossing(step, along_y, source, target, step_z, width, top, rows)
        if first >= last:
            continue
        left = int(place)
        right_share = kind(place - left)
        left_share = kind(1.0) - right_share
        _places(kind(q), kind(dz), kind(top), first, last, low, share)
        _spread_rows(sums, first, last, low, share, lines, z0, z1)
        line0, line1, line2, line3 = lines[0], lines[1], lines[2], lines[3]
        one = volume[step, left] if along_y else volume[left, step]
        other = volume[step, left + 1] if along_y else volume[left + 1, step]
        begin = np.uint64(z0)
        for k in range(z1 + 1 - z0):
            z = begin + np.uint64(k)
            line0[z] = (line0[z] + line1[z]) + (line2[z] + line3[z])
        for k in range(z1 + 1 - z0):
            z = begin + np.uint64(k)
            one[z] += left_share * line0[z]
        for k in range(z1 + 1 - z0):
            z = begin + np.uint64(k)
            other[z] += right_share * line0[z]


@compiled
def scale_rays(sums, source, target, step_z, spacing):  # type: ignore[no-untyped-def]
    """Multiply what each row (rows,) of a cell read by the length in mm of its ray in one step of its major axis."""
    x, y = target[0] - source[0], target[1] - source[1]
    per_step = max(abs(x), abs(y))
    flat = (x * spacing[0]) ** 2 + (y * spacing[1]) ** 2
    for k in range(len(sums)):
        z = (target[2] - source[2] + k * step_z) * spacing[2]
        sums[k] *= math.sqrt(flat + z * z) / per_step


@compiled
def scale_views(data, sources, columns, steps, spacing, first, last):  # type: ignore[no-untyped-def]
    """:func:`scale_rays` of the views ``first`` to ``last`` of data (views, cells, rows)."""
    for view in range(first, last):
        for cell in range(data.shape[1]):
            scale_rays(data[view, cell], sources[view], columns[view, cell], steps[view, 2], spacing)


@compiled
def _runs_along_y(source, target):  # type: ignore[no-untyped-def]
    return abs(target[1] - source[1]) >= abs(target[0] - source[0])


@compiled
def project(volume, sources, columns, steps, spacing, slab, data, first, last):  # type: ignore[no-untyped-def]
    """Line integrals of the views ``first`` to ``last``.

    Args:
        volume: (y, x, z) with its border.
        sources, columns, steps: (views, 3), (views, cells, 3), (views, 3) in voxels, (x, y, z), see
            :class:`physics.ct.cone.geometry.ConeRays`.
        spacing: (3,) voxel size (x, y, z) in mm.
        slab: steps along the major axis that all views take before the next ones.
        data: (views, cells, rows), written.
        first, last: the views.
    """
    ny, nx, nz = volume.shape
    rows = data.shape[2]
    line = np.zeros(nz, volume.dtype)
    low, share = np.zeros(rows, np.int32), np.zeros(rows, volume.dtype)
    data[first:last] = 0
    for turn in range(2):
        along_y = turn == 0
        end = (ny if along_y else nx) - 2
        for start in range(1, end, slab):
            for view in range(first, last):
                source, step_z = sources[view], steps[view, 2]
                for cell in range(data.shape[1]):
                    target = columns[view, cell]
                    if _runs_along_y(source, target) == along_y:
                        sums, stop = data[view, cell], min(start + slab, end)
                        _project_rays(volume, along_y, start, stop, source, target, step_z, sums, line, low, share)
    scale_views(data, sources, columns, steps, spacing, first, last)


@compiled
def backproject(volume, along_y, sources, columns, steps, slab, data, first, last):  # type: ignore[no-untyped-def]
    """Add the adjoint of :func:`project` to the steps ``first`` to ``last`` of one major axis.

    Args:
        volume: (y, x, z) with its border, added to, at those steps alone.
        along_y: the major axis of the rays that are taken.
        sources, columns, steps, slab: the same rays and number of steps that :func:`project` takes.
        data: (views, cells, rows), scaled by :func:`scale_views`.
        first, last: the steps, from 0.
    """
    nz, rows = volume.shape[2], data.shape[2]
    lines = np.zeros((_CHAINS, nz), volume.dtype)
    low, share = np.zeros(rows, np.int32), np.zeros(rows, volume.dtype)
    for start in range(first + 1, last + 1, slab):
        for view in range(data.shape[0]):
            source, step_z = sources[view], steps[view, 2]
            for cell in range(data.shape[1]):
                target = columns[view, cell]
                if _runs_along_y(source, target) == along_y:
                    sums, stop = data[view, cell], min(start + slab, last + 1)
                    _backproject_rays(volume, along_y, start, stop, source, target, step_z, sums, lines, low, share)
