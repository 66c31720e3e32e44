"""From a grid to the coarser one of the small volumes, and back."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

Reduction = Literal["mean", "nearest"]
"""What a voxel of a small volume is: the mean of those in its place, or the first of them, as published."""


def reduced(volumes: Tensor, ratio: int, reduction: Reduction) -> Tensor:
    """(B, C, Z, X, Y), each edge a multiple of ``ratio``, to (B, C, Z / ratio, X / ratio, Y / ratio)."""
    if reduction == "mean":
        return functional.avg_pool3d(volumes, ratio)
    return volumes[:, :, ::ratio, ::ratio, ::ratio]


def enlarged(volumes: Tensor, ratio: int) -> Tensor:
    """Each voxel of (B, C, Z, X, Y) ``ratio`` times along each axis."""
    return functional.interpolate(volumes, scale_factor=ratio, mode="nearest")
