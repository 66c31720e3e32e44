"""The discriminator of the autoencoder's adversarial training: a 3-D PatchGAN that judges overlapping regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

WIDEST = 512
"""Widths double from layer to layer up to this many channels."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Size of a ``VolumeDiscriminator``.

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


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, kernel_size=4, stride=stride, padding=2)


class VolumeDiscriminator(nn.Module):
    """Logits of "this region is real", one for each of many overlapping regions of a volume.

    3D MedDiffusion, section III-A.3, after PatchGAN (Isola et al., 2017). The layers are the children ``model0``,
    ``model1``, …, as in the released checkpoints. No sigmoid at the end: the losses take logits.

    Args:
        config: width and depth.
        image_channels: channels of the volumes.
    """

    def __init__(self, config: DiscriminatorConfig, image_channels: int = 1) -> None:
        super().__init__()
        self.config = config
        widths = [min(config.channels * 2**level, WIDEST) for level in range(config.layers + 1)]
        self.add_module("model0", nn.Sequential(_convolution(image_channels, widths[0], 2), nn.LeakyReLU(0.2)))
        for level in range(1, config.layers + 1):
            stride = 2 if level < config.layers else 1
            convolution = _convolution(widths[level - 1], widths[level], stride)
            layer = nn.Sequential(convolution, nn.BatchNorm3d(widths[level]), nn.LeakyReLU(0.2))
            self.add_module(f"model{level}", layer)
        self.add_module(f"model{config.layers + 1}", nn.Sequential(_convolution(widths[-1], 1, 1)))

    def _outputs(self, volumes: Tensor) -> Iterator[Tensor]:
        hidden = volumes
        for layer in self.children():
            hidden = layer(hidden)
            yield hidden

    def forward(self, volumes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge volumes.

        Args:
            volumes: (B, C, Z, X, Y), about [-1, 1].

        Returns:
            Logits (B, 1, z, x, y), and the outputs of all layers before the last one, for feature matching.
        """
        *features, logits = self._outputs(volumes)
        return logits, features
