"""The features of SqueezeNet 1.1 (Iandola et al. 2016) that LPIPS compares in its smallest version."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

_FIRES = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128)} | {
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}
"""Of the fire modules by their positions in torchvision's ``features``: channels of the input, between the two halves,
and of each half of the output."""

_POOLED_BEFORE = (3, 6, 9)
_TAKEN_AFTER = (0, 4, 7, 9, 10, 11, 12)


class _Fire(nn.Module):
    """Channels squeezed by a convolution of edge 1, then expanded by one of edge 1 and one of edge 3, side by side."""

    def __init__(self, inputs: int, between: int, half: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, between, 1)
        self.expand1x1 = nn.Conv2d(between, half, 1)
        self.expand3x3 = nn.Conv2d(between, half, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1x1(squeezed)), torch.relu(self.expand3x3(squeezed))], 1)


class SqueezeNet(nn.Module):
    """The convolutional part; the outputs after the first convolution and after six of the eight fire modules.

    State-dict keys are torchvision's without ``features.``.
    """

    widths = (64, 128, 256, 384, 384, 512, 512)
    smallest = 17
    """Shortest edge of an image in pixels, which is halved four times."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("0", nn.Conv2d(3, 64, 3, stride=2))
        for position, channels in _FIRES.items():
            self.add_module(str(position), _Fire(*channels))
        self._pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def forward(self, images: Tensor) -> Iterator[Tensor]:
        hidden = torch.relu(self.get_submodule("0")(images))
        yield hidden
        for position in _FIRES:
            if position in _POOLED_BEFORE:
                hidden = self._pool(hidden)
            hidden = self.get_submodule(str(position))(hidden)
            if position in _TAKEN_AFTER:
                yield hidden
