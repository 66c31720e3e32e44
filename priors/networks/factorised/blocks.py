"""Convolutions of factorised U-Nets: (Z, X, Y) maps of which X and Y alone are halved and doubled.

Medical Diffusion (Khader et al. 2022) and MedSyn (Xu et al. 2024) build on such blocks, after the video diffusion of Ho
et al. (2022). Tensors are (B, C, Z, X, Y).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from priors.networks.unet3d import Kernel, ResnetBlock

IN_SLICES: Kernel = (1, 3, 3)
"""Taps of a convolution within slices."""

_HALVING = {"kernel_size": (1, 4, 4), "stride": (1, 2, 2), "padding": (0, 1, 1)}


def level_channels(width: int, multipliers: Sequence[int]) -> list[tuple[int, int]]:
    """Channels in and out of each level, finest first."""
    return list(itertools.pairwise([width, *(width * multiplier for multiplier in multipliers)]))


def halving(channels: int, last: bool) -> nn.Module:
    """Half of X and Y; nothing at the last level."""
    return nn.Identity() if last else nn.Conv3d(channels, channels, **_HALVING)  # type: ignore[arg-type]


def doubling(channels: int, last: bool) -> nn.Module:
    """X and Y doubled; nothing at the last level."""
    return nn.Identity() if last else nn.ConvTranspose3d(channels, channels, **_HALVING)  # type: ignore[arg-type]


def slice_block(inputs: int, outputs: int, groups: int, condition: int | None = None) -> ResnetBlock:
    """A residual block of convolutions within slices."""
    return ResnetBlock(inputs, outputs, groups, condition, IN_SLICES)


class OutputBlock(nn.Sequential):
    """From the last features, beside those of the first convolution, to the result."""

    def __init__(self, width: int, outputs: int, groups: int) -> None:
        super().__init__(slice_block(2 * width, width, groups), nn.Conv3d(width, outputs, kernel_size=1))


def beside(x: Tensor, skip: Tensor) -> Tensor:
    """Two maps as one, the channels of the first before those of the second."""
    return torch.cat([x, skip], dim=1)
