"""The levels that both networks of MedSyn are made of: two blocks within slices and one of all three dimensions.

Attributes have the names of the official state dicts; where the official network could have attentions and has none,
there is nothing, but the numbers of the children count it. Maps are (B, C, Z, X, Y), conditions (B, E).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from priors.networks.factorised.blocks import beside, doubling, halving, level_channels, slice_block
from priors.networks.medsyn.config import UpOrder
from priors.networks.unet3d import ResnetBlock

Skips = list[Tensor]


class _Level(nn.ModuleList):
    """Two blocks within slices, ``gap`` children that do nothing, a block of all dimensions, a change of X and Y."""

    def __init__(self, inputs: int, outputs: int, groups: int, condition: int, gap: int, resize: nn.Module) -> None:
        super().__init__(
            [
                slice_block(inputs, outputs, groups, condition),
                slice_block(outputs, outputs, groups, condition),
                *(nn.Identity() for _ in range(gap)),
                ResnetBlock(outputs, outputs, groups, condition),
                resize,
            ]
        )


class DownLevel(_Level):
    """Halves X and Y before its last block."""

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The map at the next resolution, and the skip before the change of size."""
        first, second, *_, volume, resize = self
        skip = second(first(x, condition), condition)
        return volume(resize(skip), condition), skip


class UpLevel(_Level):
    """Doubles X and Y."""

    def forward(self, x: Tensor, condition: Tensor, order: UpOrder) -> Tensor:
        """``x``: the map beside the skip of the same resolution."""
        first, second, *_, volume, resize = self
        x = first(x, condition)
        if order == "training":
            return volume(second(resize(x), condition), condition)
        return resize(volume(second(x, condition), condition))


def down_levels(width: int, multipliers: Sequence[int], groups: int, condition: int, gap: int) -> nn.ModuleList:
    """The encoder; nothing is halved at its last level."""
    widths = level_channels(width, multipliers)
    last = len(widths) - 1
    return nn.ModuleList(
        DownLevel(a, b, groups, condition, gap, halving(b, depth == last)) for depth, (a, b) in enumerate(widths)
    )


def up_levels(width: int, multipliers: Sequence[int], groups: int, condition: int, gap: int) -> nn.ModuleList:
    """The decoder, the mirror of :func:`down_levels`; nothing is doubled at its last level."""
    widths = level_channels(width, multipliers)[::-1]
    last = len(widths) - 1
    return nn.ModuleList(
        UpLevel(2 * b, a, groups, condition, gap, doubling(a, depth == last)) for depth, (a, b) in enumerate(widths)
    )


def encode(levels: nn.ModuleList, x: Tensor, condition: Tensor) -> tuple[Tensor, Skips]:
    """Through all levels of the encoder; the skips, finest first."""
    skips: Skips = []
    for level in levels:
        x, skip = level(x, condition)
        skips.append(skip)
    return x, skips


def decode(levels: nn.ModuleList, x: Tensor, condition: Tensor, skips: Skips, order: UpOrder) -> Tensor:
    """Through all levels of the decoder, with the skips of the encoder."""
    for level, skip in zip(levels, reversed(skips), strict=True):
        x = level(beside(x, skip), condition, order)
    return x
