"""FBPConvNet: a residual U-Net that removes the artefacts of filtered back projection from few views.

Jin, McCann, Froustey, Unser, "Deep Convolutional Neural Network for Inverse Problems in Imaging" (2017). State dicts
have the names of the PyTorch port of it. Images are (B, 1, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.settings import check_positive, plain_settings, read_settings
from priors.networks.sizes import check_size

_EPSILON = 1e-5
_EPSILON_MATCONVNET = 1e-4


@dataclass(frozen=True)
class FBPConvNetConfig:
    """Sizes of an FBPConvNet; the defaults are the published network of 34.6 million parameters.

    Attributes:
        width: channels at full resolution; they double with every level.
        levels: resolutions, each half of the one before.
        legacy: normalise by the statistics of the batch at test time too, as the published evaluation does; what
            becomes of a slice then depends on the others of its batch, so give them singly.
        matconvnet: upsample and normalise as MatConvNet does, for weights that were trained in it: a transposed
            convolution drops the last row and column, where the port drops the first.

    Raises:
        ValueError: no channel, or fewer than two levels.
    """

    width: int = 64
    levels: int = 5
    legacy: bool = False
    matconvnet: bool = False

    def __post_init__(self) -> None:
        check_positive("FBPConvNet", self, "width", "levels")
        if self.levels < 2:
            raise ValueError(f"FBPConvNet setting levels is {self.levels}; it must be 2 or more")

    @property
    def size_multiple(self) -> int:
        """Both edges of an image must be multiples of this."""
        return 2 ** (self.levels - 1)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FBPConvNetConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "FBPConvNet", values)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that can be told to use the batch's statistics in evaluation, and then keeps none."""

    batch_statistics = False

    def forward(self, x: Tensor) -> Tensor:
        if self.batch_statistics and not self.training:
            return functional.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(x)


class Upsample(nn.ConvTranspose2d):
    """3x3 transposed convolution of stride 2 to exactly twice the size, at half the channels.

    Whole, it gives 2n + 1 pixels of n; the ``last`` or the first of either axis is dropped.
    """

    def __init__(self, inputs: int, drop_last: bool) -> None:
        margin = 0 if drop_last else 1
        super().__init__(inputs, inputs // 2, 3, stride=2, padding=margin, output_padding=margin)
        self._drop_last = drop_last

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        full = super().forward(x, output_size)
        return full[..., :-1, :-1] if self._drop_last else full


class FBPConvNet(nn.Module):
    """An image plus what the network takes for its artefacts, negated."""

    def __init__(self, config: FBPConvNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * 2**level for level in range(config.levels)]
        self.block_1_1 = nn.Sequential(*self._convolve(1, *[widths[0]] * 3))
        for level in range(2, config.levels + 1):
            channels = widths[level - 1]
            down = [nn.MaxPool2d(2), *self._convolve(channels // 2, channels, channels)]
            last = level == config.levels
            self.add_module(_name(level, last), nn.Sequential(*down, *(self._upsample(channels) if last else [])))
        for level in range(config.levels - 1, 0, -1):
            channels = widths[level - 1]
            after = self._upsample(channels) if level > 1 else [nn.Conv2d(channels, 1, 1)]
            convolutions = self._convolve(2 * channels, channels, channels)
            self.add_module(f"block_{level}_2", nn.Sequential(*convolutions, *after))
        self._initialise()
        self.use_batch_statistics(config.legacy)

    def _norm(self, channels: int) -> BatchNorm:
        return BatchNorm(channels, eps=_EPSILON_MATCONVNET if self.config.matconvnet else _EPSILON)

    def _convolve(self, inputs: int, *outputs: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for channels in outputs:
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), self._norm(channels), nn.ReLU()]
            inputs = channels
        return layers

    def _upsample(self, channels: int) -> list[nn.Module]:
        return [Upsample(channels, self.config.matconvnet), self._norm(channels // 2), nn.ReLU()]

    def _initialise(self) -> None:
        """As published; the residual is then small at the start."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def use_batch_statistics(self, on: bool) -> None:
        """Whether evaluation normalises by the batch (``legacy``) or by the statistics kept from the training."""
        for module in self.modules():
            if isinstance(module, BatchNorm):
                module.batch_statistics = on

    def forward(self, image: Tensor) -> Tensor:
        """The improved image, (B, 1, H, W) as the given one.

        Raises:
            ValueError: H or W is no multiple of ``config.size_multiple``; the nearest sizes are named.
        """
        check_size(image.shape[2:], self.config.size_multiple, axes=("height", "width"))
        levels = self.config.levels
        hidden, skips = image, []
        for level in range(1, levels):
            hidden = self.get_submodule(f"block_{level}_1")(hidden)
            skips.append(hidden)
        hidden = self.get_submodule(_name(levels, last=True))(hidden)
        for level in range(levels - 1, 0, -1):
            hidden = self.get_submodule(f"block_{level}_2")(torch.cat([skips.pop(), hidden], dim=1))
        return image + hidden


def _name(level: int, last: bool) -> str:
    return f"block_{level}" if last else f"block_{level}_1"
