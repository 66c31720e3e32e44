"""The phase of MR images: smooth, from field inhomogeneity and the coil, and unknown."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_NODES = 4


def smooth_phase(shape: tuple[int, int, int], largest: float, generator: torch.Generator) -> Tensor:
    """A random phase map that varies over about a quarter of each axis.

    Args:
        shape: (z, y, x).
        largest: radians that its absolute value reaches.
        generator: on the CPU.

    Returns:
        (z, y, x) float32.
    """
    nodes = torch.randn(1, 1, *(min(_NODES, size) for size in shape), generator=generator)
    smooth = functional.interpolate(nodes, shape, mode="trilinear", align_corners=True)[0, 0]
    return smooth * (largest / smooth.abs().max().clamp_min(1e-6))
