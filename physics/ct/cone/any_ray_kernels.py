"""Joseph's projector of any cone-beam views and its adjoint: detectors that lean or are rolled, rays along any axis.

As in :mod:`physics.ct.cone.joseph_kernels`, with the same arrays, but each ray finds its own four voxels in every step.
The major axis of a cell's rays is that of its middle row.
"""

from __future__ import annotations

import math

import numpy as np

from physics.compiled import compiled


@compiled
def _major_axis(source, target, step, rows):  # type: ignore[no-untyped-def]
    """The axis (0: x, 1: y, 2: z) along which the middle row's ray crosses most voxels."""
    best, longest = 0, -1.0
    for axis in range(3):
        length = abs(target[axis] + (rows - 1) / 2 * step[axis] - source[axis])
        if length > longest:
            best, longest = axis, length
    return best


@compiled
def _strides(volume, axis):  # type: ignore[no-untyped-def]
    """The two other axes, and for each of the three its stride in elements and its last place."""
    ny, nx, nz = volume.shape
    strides = (nz, nx * nz, 1)
    tops = (nx - 2.0, ny - 2.0, nz - 2.0)
    one, other = (1, 2) if axis == 0 else (0, 2) if axis == 1 else (0, 1)
    return one, other, strides[axis], strides[one], strides[other], tops[one], tops[other]


@compiled
def _find(step, axis, facts, source, target, row, corner, share1, share2):  # type: ignore[no-untyped-def]
    """What the rays of a cell read in one step: the lowest of their four voxels, and the shares of the upper ones.

    Rays that miss the volume, or run away from it, read the border's zeros.
    """
    one, other, stride0, stride1, stride2, top1, top2 = facts
    kind = share1.dtype.type
    for k in range(len(corner)):
        along = target[axis] + k * row[axis] - source[axis]
        t = (step - source[axis]) / along if abs(along) > 1e-12 else -1.0
        place1 = source[one] + t * (target[one] + k * row[one] - source[one])
        place2 = source[other] + t * (target[other] + k * row[other] - source[other])
        inside = (t > 0.0) & (place1 > 0.0) & (place1 < top1) & (place2 > 0.0) & (place2 < top2)
        place1 = place1 if inside else 0.0
        place2 = place2 if inside else 0.0
        low1, low2 = np.int64(place1), np.int64(place2)
        share1[k] = kind(place1 - low1)
        share2[k] = kind(place2 - low2)
        corner[k] = step * stride0 + low1 * stride1 + low2 * stride2 if inside else -1


@compiled
def _scale(sums, axis, source, target, row, spacing):  # type: ignore[no-untyped-def]
    """Multiply what each row (rows,) of a cell read by the length in mm of its ray in one step along ``axis``."""
    for k in range(len(sums)):
        x = (target[0] + k * row[0] - source[0]) * spacing[0]
        y = (target[1] + k * row[1] - source[1]) * spacing[1]
        z = (target[2] + k * row[2] - source[2]) * spacing[2]
        along = abs(target[axis] + k * row[axis] - source[axis])
        sums[k] *= math.sqrt(x * x + y * y + z * z) / along if along > 1e-12 else 0.0


@compiled
def scale_views(data, sources, columns, steps, spacing, first, last):  # type: ignore[no-untyped-def]
    """Multiply data (views, cells, rows) of the views ``first`` to ``last`` by their rays' lengths in one step."""
    for view in range(first, last):
        for cell in range(data.shape[1]):
            source, target, row = sources[view], columns[view, cell], steps[view]
            _scale(data[view, cell], _major_axis(source, target, row, data.shape[2]), source, target, row, spacing)


@compiled
def _project_rays(flat, axis, facts, start, end, source, target, row, sums, corner, share1, share2):  # type: ignore[no-untyped-def]
    _, _, _, stride1, stride2, _, _ = facts
    for step in range(start, end):
        _find(step, axis, facts, source, target, row, corner, share1, share2)
        for k in range(len(sums)):
            at = corner[k]
            if at < 0:
                continue
            low = flat[at] + share2[k] * (flat[at + stride2] - flat[at])
            at += stride1
            high = flat[at] + share2[k] * (flat[at + stride2] - flat[at])
            sums[k] += low + share1[k] * (high - low)


@compiled
def _backproject_rays(flat, axis, facts, start, end, source, target, row, sums, corner, share1, share2):  # type: ignore[no-untyped-def]
    _, _, _, stride1, stride2, _, _ = facts
    for step in range(start, end):
        _find(step, axis, facts, source, target, row, corner, share1, share2)
        for k in range(len(sums)):
            at = corner[k]
            if at < 0:
                continue
            high = share1[k] * sums[k]
            low = sums[k] - high
            flat[at] += low - share2[k] * low
            flat[at + stride2] += share2[k] * low
            at += stride1
            flat[at] += high - share2[k] * high
            flat[at + stride2] += share2[k] * high


@compiled
def project(volume, sources, columns, steps, spacing, slab, data, first, last):  # type: ignore[no-untyped-def]
    """Line integrals of the views ``first`` to ``last``; arguments as in :mod:`physics.ct.cone.joseph_kernels`."""
    rows = data.shape[2]
    corner = np.zeros(rows, np.int64)
    share1, share2 = np.zeros(rows, volume.dtype), np.zeros(rows, volume.dtype)
    flat = volume.reshape(volume.size)
    data[first:last] = 0
    for axis in range(3):
        facts = _strides(volume, axis)
        end = (volume.shape[1], volume.shape[0], volume.shape[2])[axis] - 2
        for start in range(1, end, slab):
            for view in range(first, last):
                source, row = sources[view], steps[view]
                for cell in range(data.shape[1]):
                    target = columns[view, cell]
                    if _major_axis(source, target, row, rows) == axis:
                        sums, stop = data[view, cell], min(start + slab, end)
                        _project_rays(flat, axis, facts, start, stop, source, target, row, sums, corner, share1, share2)
    scale_views(data, sources, columns, steps, spacing, first, last)


@compiled
def backproject(volume, axis, sources, columns, steps, slab, data, first, last):  # type: ignore[no-untyped-def]
    """Add the adjoint of :func:`project` to the steps ``first`` to ``last`` of rays with one major axis (0: x, 1: y,
    2: z); arguments as in :mod:`physics.ct.cone.joseph_kernels`, data scaled by :func:`scale_views`."""
    rows = data.shape[2]
    corner = np.zeros(rows, np.int64)
    share1, share2 = np.zeros(rows, volume.dtype), np.zeros(rows, volume.dtype)
    flat = volume.reshape(volume.size)
    facts = _strides(volume, axis)
    for start in range(first + 1, last + 1, slab):
        for view in range(data.shape[0]):
            source, row = sources[view], steps[view]
            for cell in range(data.shape[1]):
                target = columns[view, cell]
                if _major_axis(source, target, row, rows) == axis:
                    sums, stop = data[view, cell], min(start + slab, last + 1)
                    _backproject_rays(flat, axis, facts, start, stop, source, target, row, sums, corner, share1, share2)
