"""Intersection lengths of rays with pixels as compiled loops, see :mod:`physics.ct.system_matrix`.

Arguments that all loops take: ``start`` and ``direction`` (rays, 2), a point (x, y) on each ray in mm and its unit
direction; ``size`` (2,) int64 and ``spacing`` (2,), number and size in mm of the pixels along x and y. All lengths are
float64.
"""

from __future__ import annotations

import math

import numpy as np

from physics.compiled import compiled

_LEAST = 1e-9
"""Share of a pixel's size below which an intersection counts as none."""


@compiled
def _trace(start, direction, size, spacing, pixels, lengths):  # type: ignore[no-untyped-def]
    """The pixels that one ray crosses and their lengths, written to the last two; returns how many they are.

    The ray goes up the axis along which it crosses more pixels, its major axis. In one pixel's step along that axis it
    crosses at most one grid line of the other axis, the one nearest to the step's middle; so a step is in at most two
    pixels, and no crossings need sorting (unlike in Siddon 1985, Med Phys 12:252, whose lengths these are). A ray in a
    grid line counts as in the upper pixel.
    """
    major = 1 if abs(direction[1]) / spacing[1] > abs(direction[0]) / spacing[0] else 0
    minor = 1 - major
    sign = -1.0 if direction[major] < 0 else 1.0
    ahead, aside = sign * direction[major], sign * direction[minor]
    half, other_half = size[major] / 2, size[minor] / 2
    entry = (-half * spacing[major] - start[major]) / ahead
    leave = (half * spacing[major] - start[major]) / ahead
    low, high = -other_half * spacing[minor], other_half * spacing[minor]
    if aside != 0:
        one, other = (low - start[minor]) / aside, (high - start[minor]) / aside
        entry, leave = max(entry, min(one, other)), min(leave, max(one, other))
    elif start[minor] < low or start[minor] >= high:
        return 0
    if not entry < leave:
        return 0
    steps, row = (size[0], 1) if major == 1 else (1, size[0])  # strides of the pixels' numbers
    first = max(0, math.floor((start[major] + entry * ahead) / spacing[major] + half) - 1)
    last = min(size[major] - 1, math.floor((start[major] + leave * ahead) / spacing[major] + half) + 1)
    least = _LEAST * min(spacing[0], spacing[1])
    slope, middle = aside / spacing[minor] / 2, start[minor] / spacing[minor] + other_half + 0.5
    backwards = 0 if aside >= 0 else 1
    found = 0
    end = min(max(((first - half) * spacing[major] - start[major]) / ahead, entry), leave)
    for step in range(first, last + 1):
        begin = end
        end = min(max(((step + 1 - half) * spacing[major] - start[major]) / ahead, entry), leave)
        line = math.floor((begin + end) * slope + middle)  # the nearest grid line of the other axis
        split = begin
        if aside != 0:
            split = min(max(((line - other_half) * spacing[minor] - start[minor]) / aside, begin), end)
        elif (line - other_half) * spacing[minor] > start[minor]:
            split = end
        before = line - 1 + backwards
        if split - begin > least and 0 <= before < size[minor]:
            pixels[found], lengths[found] = step * steps + before * row, split - begin
            found += 1
        after = line - backwards
        if end - split > least and 0 <= after < size[minor]:
            pixels[found], lengths[found] = step * steps + after * row, end - split
            found += 1
    return found


@compiled
def count_by_pixel(start, direction, size, spacing, counts, first, end):  # type: ignore[no-untyped-def]
    """Add to ``counts`` (pixels,) how many of the rays ``first`` to ``end`` cross each pixel."""
    most = 2 * max(size[0], size[1]) + 2
    pixels, lengths = np.empty(most, np.int64), np.empty(most, np.float64)
    for ray in range(first, end):
        found = _trace(start[ray], direction[ray], size, spacing, pixels, lengths)
        for k in range(found):
            counts[pixels[k]] += 1


@compiled
def fill_by_pixel(start, direction, size, spacing, places, rays, values, first, end):  # type: ignore[no-untyped-def]
    """Write the rays ``first`` to ``end`` and their lengths where ``places`` (pixels,) says, which moves on."""
    most = 2 * max(size[0], size[1]) + 2
    pixels, lengths = np.empty(most, np.int64), np.empty(most, np.float64)
    for ray in range(first, end):
        found = _trace(start[ray], direction[ray], size, spacing, pixels, lengths)
        for k in range(found):
            place = places[pixels[k]]
            rays[place], values[place] = ray, lengths[k]
            places[pixels[k]] = place + 1


@compiled
def count_by_ray(start, direction, size, spacing, counts, first, end):  # type: ignore[no-untyped-def]
    """Write to ``counts`` (rays,) how many pixels the rays ``first`` to ``end`` cross."""
    most = 2 * max(size[0], size[1]) + 2
    pixels, lengths = np.empty(most, np.int64), np.empty(most, np.float64)
    for ray in range(first, end):
        counts[ray] = _trace(start[ray], direction[ray], size, spacing, pixels, lengths)


@compiled
def fill_by_ray(start, direction, size, spacing, places, columns, values, first, end):  # type: ignore[no-untyped-def]
    """Write the pixels of the rays ``first`` to ``end`` and their lengths from ``places`` (rays,) on."""
    most = 2 * max(size[0], size[1]) + 2
    pixels, lengths = np.empty(most, np.int64), np.empty(most, np.float64)
    for ray in range(first, end):
        found = _trace(start[ray], direction[ray], size, spacing, pixels, lengths)
        for k in range(found):
            columns[places[ray] + k], values[places[ray] + k] = pixels[k], lengths[k]
