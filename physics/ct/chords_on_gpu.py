"""Intersection lengths of rays with pixels as torch operations, which a GPU makes at once.

The same lengths as those of :mod:`physics.ct.chord_kernels`, which are for the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physics.ct.geometry import ImageGrid

_STEPS_AT_ONCE = 2**22
"""Ray steps at once, some 160 bytes each."""


def chords(start: Tensor, direction: Tensor, grid: ImageGrid) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels that each ray crosses, stepping along the ray's major axis.

    That axis is the one along which the ray crosses more pixels. In one pixel's step along it a ray crosses at most one
    grid line of the other axis, the one nearest to the step's middle; so a step is in at most two pixels, and no
    crossings need sorting (unlike in Siddon 1985, whose lengths these are).

    Args:
        start: (rays, 2) float64, a point (x, y) on each ray, mm.
        direction: (rays, 2) unit directions.
        grid: the image's pixels.

    Returns:
        (rays + 1,) int32 where each ray's entries begin; then all their int32 pixels and their lengths in mm, ray by
        ray, in the order in which the ray meets them or the reverse.
    """
    (ny, nx), device = grid.shape, start.device
    spacing = torch.tensor(grid.spacing[::-1], dtype=torch.float64, device=device)
    size = torch.tensor((nx, ny), dtype=torch.int32, device=device)
    stride = torch.tensor((1, nx), dtype=torch.int32, device=device)
    steep = direction.abs() / spacing
    major = (steep[:, 1] > steep[:, 0]).long()[:, None]
    # A ray may run either way: here, up its major axis. The 0 makes no -0, whose infinities had the wrong sign.
    direction = torch.where(direction.gather(1, major) < 0, -direction, direction) + 0.0

    low, high = ((side * size.double() / 2 * spacing - start) / direction for side in (-1, 1))
    first, last = torch.fmin(low, high), torch.fmax(low, high)  # infinite across a ray along an axis, NaN on a side
    entry, leave = first[:, 0].fmax(first[:, 1]), last[:, 0].fmin(last[:, 1])
    hit = (entry < leave).nonzero()[:, 0]
    axes = torch.cat([major, 1 - major], dim=1)[hit]
    rays = [start[hit].gather(1, axes), direction[hit].gather(1, axes), torch.stack([entry, leave], 1)[hit]]
    rays += [spacing[axes], size[axes], stride[axes]]

    at_once = max(1, _STEPS_AT_ONCE // max(nx, ny))
    steps = torch.arange(max(nx, ny) + 1, dtype=torch.int32, device=device)
    parts = [_entries(steps, *part) for part in zip(*(facts.split(at_once) for facts in rays), strict=True)]
    count, column, value = (torch.cat(part) for part in zip(*parts, strict=True))
    crow = torch.zeros(len(start) + 1, dtype=torch.int64, device=device)
    crow[hit + 1] = count
    return crow.cumsum(0).int(), column, value


def _entries(
    steps: Tensor, start: Tensor, direction: Tensor, extent: Tensor, spacing: Tensor, size: Tensor, stride: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels that some rays cross.

    Args:
        steps: (n + 1,) int32, 0 to the number n of steps.
        start: (rays, 2) a point on each ray, mm; this and all below along the ray's major axis, then across it.
        direction: (rays, 2) its unit direction.
        extent: (rays, 2) where it enters and leaves the grid, in mm from ``start``.
        spacing: (rays, 2) of the pixels, mm.
        size: (rays, 2) int32 number of pixels.
        stride: (rays, 2) int32 step in the pixels' index.

    Returns:
        (rays,) how many pixels each ray has; then all their int32 indices and their lengths in mm, ray by ray.
    """
    s, d, pitch, centre = (facts.split(1, dim=1) for facts in (start, direction, spacing, size.double() / 2))
    edges = (((steps - centre[0]) * pitch[0] - s[0]) / d[0]).clamp(extent[:, :1], extent[:, 1:])
    begin, end = edges[:, :-1], edges[:, 1:]
    line = ((begin + end) * (d[1] / pitch[1] / 2) + (s[1] / pitch[1] + centre[1] + 0.5)).int()  # rounded
    split = ((line - centre[1]) * pitch[1] - s[1]) / d[1]
    split = split.fmax(begin).fmin(end)  # NaN for a ray in a grid line, which counts as in the upper pixel
    length = torch.stack([split - begin, end - split], dim=2)
    up = (d[1] >= 0).int()
    across = torch.stack([line - up, line + (up - 1)], dim=2)
    least = 1e-9 * spacing.amin(dim=1)[:, None, None]
    keep = (length > least) & (across >= 0) & (across < size[:, 1:, None])
    pixel = across * stride[:, 1:, None] + (steps[:-1] * stride[:, :1])[:, :, None]
    kept = keep.flatten().nonzero()[:, 0]
    return keep.sum((1, 2)), pixel.flatten().index_select(0, kept), length.flatten().index_select(0, kept)
