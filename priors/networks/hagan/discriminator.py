"""The discriminator of HA-GAN: one network judges a slab at full resolution, and one the whole volume at low."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.hagan.config import HAGANConfig
from priors.networks.hagan.spectral import SpectralConv3d, SpectralLinear

_SLOPE = 0.2


class Judgement(NamedTuple):
    """What the discriminator says of volumes.

    Attributes:
        logit: (B, 1), of "this volume is real".
        classes: (B, classes), logits of the classes; None where there are none.
    """

    logit: Tensor
    classes: Tensor | None


class LowDiscriminator(nn.Module):
    """Judges volumes at a quarter of their resolution; the official ``sub_D``.

    Args:
        config: the sizes of the networks.
    """

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__()
        w, channels = config.width, 1
        self._halving = range(1 + config.left_out, 5)
        for number in self._halving:
            outputs = w * 2 ** (number - 1)
            self.add_module(f"conv{number}", _halving(channels, outputs))
            channels = outputs
        self.conv5 = SpectralConv3d(channels, 1 + config.classes, (4, 4, 4), (1, 1, 1), (0, 0, 0))

    def forward(self, low: Tensor) -> Tensor:
        """(B, 1, z, x, y) to (B, 1 + classes): the logit, then those of the classes."""
        hidden = low
        for number in self._halving:
            hidden = functional.leaky_relu(self.get_submodule(f"conv{number}")(hidden), _SLOPE)
        logits: Tensor = self.conv5(hidden)
        return logits.flatten(1)


class HAGANDiscriminator(nn.Module):
    """Logits of "this volume is real", of a slab and of the whole volume at low resolution.

    Args:
        config: the sizes of the networks.
    """

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__()
        self.config = config
        layers = _slab_layers(config.width)
        self._names = list(layers)[config.left_out :]
        channels = 1
        for name in self._names:
            outputs, kernel, stride, padding = layers[name]
            self.add_module(name, SpectralConv3d(channels, outputs, kernel, stride, padding))
            channels = outputs
        self.fc1 = SpectralLinear(channels + 1, config.features)
        self.fc2 = SpectralLinear(config.features, 1)
        if config.classes:
            self.fc2_class = SpectralLinear(config.features, config.classes)
        self.sub_D = LowDiscriminator(config)

    def forward(self, slab: Tensor, low: Tensor, first: int) -> Judgement:
        """Judge volumes.

        Args:
            slab: (B, 1, Z / 8, X, Y), a slab of each volume at full resolution.
            low: (B, 1, z, x, y), the volumes at a quarter of their resolution.
            first: the first slice of the slab, counted in the volume.
        """
        hidden = slab
        for name in self._names:
            hidden = functional.leaky_relu(self.get_submodule(name)(hidden), _SLOPE)
        place = first / (self.config.size - self.config.slab)
        told = torch.cat([hidden.flatten(1), hidden.new_full((len(slab), 1), place)], dim=1)
        hidden = functional.leaky_relu(self.fc1(told), _SLOPE)
        whole = self.sub_D(low)
        logit = (self.fc2(hidden) + whole[:, :1]) / 2
        return Judgement(logit, (self.fc2_class(hidden) + whole[:, 1:]) / 2 if self.config.classes else None)


def _slab_layers(w: int) -> dict[str, tuple[int, tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]]:
    """Output channels, kernel, stride and padding of the layers on a slab of 32 x 256 x 256 voxels, in their order."""
    cube, flat = ((4, 4, 4), (2, 2, 2), (1, 1, 1)), ((2, 4, 4), (2, 2, 2), (0, 1, 1))
    return {
        "conv1": (w // 2, *cube),
        "conv2": (w, *cube),
        "conv3": (2 * w, *cube),
        "conv4": (4 * w, *flat),
        "conv5": (8 * w, *flat),
        "conv6": (16 * w, (1, 4, 4), (1, 2, 2), (0, 1, 1)),
        "conv7": (4 * w, (1, 4, 4), (1, 1, 1), (0, 0, 0)),
    }


def _halving(inputs: int, outputs: int) -> nn.Module:
    return SpectralConv3d(inputs, outputs, (4, 4, 4), (2, 2, 2), (1, 1, 1))
