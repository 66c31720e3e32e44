"""fastMRI's U-Net, the class of the package itself, with its way of normalising images.

Zbontar et al., "fastMRI: an open dataset and benchmarks for accelerated MRI" (2018). Images are (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from fastmri.models.unet import TransposeConvBlock, Unet
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.settings import check_positive, plain_settings, read_settings

_EPSILON = 1e-11
_CLAMP = 6.0

_SPREAD = ((0.25, 0.0), (0.5, 0.25), (0.25, 0.5), (0.0, 0.25))
"""Two pixels, each averaged with its neighbours 1 2 1, are four."""


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the U-Net; the defaults are those of fastMRI's baseline, 7,756,097 parameters.

    Attributes:
        in_channels, out_channels: the channels of the input and of the output images.
        chans: channels at full resolution; they double with every pooling.
        pool_layers: how often the resolution is halved.
        drop: share of channels dropped in training.
        residual: the output is added to the first input channel.
        anti_aliased: up-sampling averages neighbouring pixels, so that it leaves no pattern of period two.
        instance_norm: each image is brought to mean 0 and variance 1, clamped to 6 standard deviations, and the output
            brought back, as fastMRI's baseline does.

    Raises:
        ValueError: no channel, no pooling, or a share outside [0, 1).
    """

    in_channels: int = 1
    out_channels: int = 1
    chans: int = 32
    pool_layers: int = 4
    drop: float = 0.0
    residual: bool = False
    anti_aliased: bool = False
    instance_norm: bool = False

    def __post_init__(self) -> None:
        check_positive("U-Net", self, "in_channels", "out_channels", "chans", "pool_layers")
        if not 0 <= self.drop < 1:
            raise ValueError(f"U-Net drop {self.drop} must be in [0, 1)")

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UNetConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong.

        Files from before ``anti_aliased`` was a setting lack it.
        """
        return read_settings(cls, "U-Net", {"anti_aliased": False} | dict(values))


class SmoothUpsampling(nn.ConvTranspose2d):
    """A transposed convolution whose output is averaged with its neighbours, 1 2 1 along both axes.

    One of kernel 2 has other weights for each of the four pixels that it makes of one, which leaves a checkerboard
    (Odena et al. 2016); a filter behind it is how Zhang 2019 makes networks indifferent to shifts. Both are linear, so
    the kernel is filtered instead of the image.
    """

    def forward(self, image: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, 2 H, 2 W)."""
        spread = self.weight.new_tensor(_SPREAD)
        return functional.conv_transpose2d(image, spread @ self.weight @ spread.T, stride=2, padding=1)


class UNet2D(Unet):
    """fastMRI's ``Unet`` with a configuration; state dicts have its names."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(
            in_chans=config.in_channels,
            out_chans=config.out_channels,
            chans=config.chans,
            num_pool_layers=config.pool_layers,
            drop_prob=config.drop,
        )
        self.config = config
        if config.anti_aliased:
            for block in self.up_transpose_conv:
                block = cast(TransposeConvBlock, block)
                block.layers[0] = SmoothUpsampling(block.in_chans, block.out_chans, 2, stride=2, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W).

        Raises:
            ValueError: the poolings leave no pixel, or a single one, which instance normalisation cannot normalise.
        """
        self._check_size(*image.shape[2:])
        if not self.config.instance_norm:
            return self._improved(image)
        mean = image.mean(dim=(1, 2, 3), keepdim=True)
        std = image.std(dim=(1, 2, 3), keepdim=True) + _EPSILON
        normalised = ((image - mean) / std).clamp(-_CLAMP, _CLAMP)
        return self._improved(normalised) * std + mean

    def _check_size(self, height: int, width: int) -> None:
        factor = 2**self.config.pool_layers
        if (height // factor) * (width // factor) < 2:
            raise ValueError(
                f"image of {height} x {width} pixels is too small for a U-Net; {2 * factor} a side will do"
            )

    def _improved(self, image: Tensor) -> Tensor:
        output: Tensor = super().forward(image)
        return output + image[:, :1] if self.config.residual else output
