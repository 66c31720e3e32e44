"""The discriminators of autoencoders' adversarial training: PatchGANs that judge overlapping regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

WIDEST = 512
"""Widths double from layer to layer up to this many channels."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Size of a discriminator.

    Attributes:
        channels: width of the first layer.
        layers: how many layers halve the resolution.

    Raises:
        ValueError: a value below 1.
    """

    channels: int = 32
    layers: int = 3

    def __post_init__(self) -> None:
        if min(self.channels, self.layers) < 1:
            raise ValueError(
                f"discriminator of {self.channels} channels and {self.layers} layers; both must be 1 or more"
            )


class _PatchDiscriminator(nn.Module):
    """Logits of "this region is real", one for each of many overlapping regions, after PatchGAN (Isola et al., 2017).

    The layers are the children ``model0``, ``model1``, …, as in the released checkpoints. No sigmoid at the end: the
    losses take logits.

    Args:
        config: width and depth.
        image_channels: channels of the images.
        convolution: the class of the convolutions.
        norm: the class of the norms.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        image_channels: int,
        convolution: type[nn.Conv2d] | type[nn.Conv3d],
        norm: type[nn.BatchNorm2d] | type[nn.BatchNorm3d],
    ) -> None:
        super().__init__()
        self.config = config

        def taken(inputs: int, outputs: int, stride: int) -> nn.Module:
            return convolution(inputs, outputs, kernel_size=4, stride=stride, padding=2)

        widths = [min(config.channels * 2**level, WIDEST) for level in range(config.layers + 1)]
        self.add_module("model0", nn.Sequential(taken(image_channels, widths[0], 2), nn.LeakyReLU(0.2)))
        for level in range(1, config.layers + 1):
            stride = 2 if level < config.layers else 1
            layer = (taken(widths[level - 1], widths[level], stride), norm(widths[level]), nn.LeakyReLU(0.2))
            self.add_module(f"model{level}", nn.Sequential(*layer))
        self.add_module(f"model{config.layers + 1}", nn.Sequential(taken(widths[-1], 1, 1)))

    def _outputs(self, images: Tensor) -> Iterator[Tensor]:
        hidden = images
        for layer in self.children():
            hidden = layer(hidden)
            yield hidden

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge images.

        Args:
            images: (B, C, …), about [-1, 1].

        Returns:
            Logits (B, 1, …), and the outputs of all layers before the last one, for feature matching.
        """
        *features, logits = self._outputs(images)
        return logits, features


class VolumeDiscriminator(_PatchDiscriminator):
    """Judges volumes (B, C, Z, X, Y) (3D MedDiffusion, section III-A.3).

    Args:
        config: width and depth.
        image_channels: channels of the volumes.
    """

    def __init__(self, config: DiscriminatorConfig, image_channels: int = 1) -> None:
        super().__init__(config, image_channels, nn.Conv3d, nn.BatchNorm3d)


class SliceDiscriminator(_PatchDiscriminator):
    """Judges single slices (B, C, X, Y), as the VQ-GAN of Medical Diffusion is trained with beside the other.

    Args:
        config: width and depth.
        image_channels: channels of the slices.
    """

    def __init__(self, config: DiscriminatorConfig, image_channels: int = 1) -> None:
        super().__init__(config, image_channels, nn.Conv2d, nn.BatchNorm2d)
