"""The generator of HA-GAN: features of the whole volume, and from these a volume at low and at full resolution."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.hagan.config import FEATURE_STRIDE, HAGANConfig, group_norm

_FIRST_EDGE = 4
"""Edge of the map that the latent vector is spread over."""


class LowGenerator(nn.Module):
    """Features to a volume at their own, low resolution; the official ``sub_G``.

    Args:
        config: the sizes of the networks.
    """

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__()
        width = config.width
        self.tp_conv1 = _convolution(config.features, width)
        self.bn1 = group_norm(width)
        self.tp_conv2 = _convolution(width, width // 2)
        self.bn2 = group_norm(width // 2)
        self.tp_conv3 = _convolution(width // 2, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, F, z, x, y) to (B, 1, z, x, y) in [-1, 1]."""
        hidden = functional.relu(self.bn1(self.tp_conv1(features)))
        hidden = functional.relu(self.bn2(self.tp_conv2(hidden)))
        return torch.tanh(self.tp_conv3(hidden))


class HAGANGenerator(nn.Module):
    """A latent vector to a volume in one pass.

    In training, :meth:`high` sees the features of one slab alone, so that the memory is that of a slab; see
    :class:`priors.training.generators.hagan.HAGANLearner`.

    Args:
        config: the sizes of the networks.
    """

    def __init__(self, config: HAGANConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.fc1 = nn.Linear(config.latent + config.classes, 16 * w * _FIRST_EDGE**3)
        widths = [16 * w, 16 * w, 16 * w, 8 * w, 4 * w, config.features]
        self._doublings = len(widths) - 2 - config.left_out
        for number, (inputs, outputs) in enumerate(itertools.pairwise(widths), 1):
            self.add_module(f"tp_conv{number}", _convolution(inputs, outputs))
            self.add_module(f"bn{number}", group_norm(outputs))
        self._stages = len(widths) - 1
        self.tp_conv6 = _convolution(config.features, w)
        self.bn6 = group_norm(w)
        self.tp_conv7 = _convolution(w, 1)
        self.sub_G = LowGenerator(config)

    def features(self, latent: Tensor, classes: Tensor | None = None) -> Tensor:
        """The features of whole volumes.

        Args:
            latent: (B, L) standard normal vectors.
            classes: (B,) indices, for a network with classes.

        Returns:
            (B, F, z, x, y) at a quarter of the volume's resolution.

        Raises:
            ValueError: classes are missing or not wanted.
        """
        hidden = self.fc1(self._with_classes(latent, classes))
        hidden = hidden.view(len(latent), -1, _FIRST_EDGE, _FIRST_EDGE, _FIRST_EDGE)
        for number in range(1, self._stages + 1):
            if 1 < number <= 1 + self._doublings:
                hidden = _doubled(hidden)
            convolution, norm = self.get_submodule(f"tp_conv{number}"), self.get_submodule(f"bn{number}")
            hidden = functional.relu(norm(convolution(hidden)))
        return hidden

    def high(self, features: Tensor) -> Tensor:
        """Features (B, F, z, x, y), of the whole volume or of a slab, to images (B, 1, 4 z, 4 x, 4 y) in [-1, 1]."""
        hidden = functional.relu(self.bn6(self.tp_conv6(_doubled(features))))
        return torch.tanh(self.tp_conv7(_doubled(hidden)))

    def low(self, features: Tensor) -> Tensor:
        """Features (B, F, z, x, y) to images (B, 1, z, x, y) in [-1, 1]."""
        image: Tensor = self.sub_G(features)
        return image

    def slab(self, features: Tensor, first: int) -> Tensor:
        """The part of a volume's features that a slab is made of.

        Args:
            features: (B, F, z, x, y).
            first: the first slice of the slab, counted in the volume; a multiple of 4.
        """
        start = first // FEATURE_STRIDE
        return features[:, :, start : start + self.config.slab // FEATURE_STRIDE]

    def forward(self, latent: Tensor, classes: Tensor | None = None) -> Tensor:
        """Whole volumes (B, 1, Z, X, Y) in [-1, 1]; arguments as for :meth:`features`."""
        return self.high(self.features(latent, classes))

    def _with_classes(self, latent: Tensor, classes: Tensor | None) -> Tensor:
        if (classes is None) != (self.config.classes == 0):
            raise ValueError(f"`classes` {'missing' if classes is None else 'given'}: HA-GAN of {self.config.classes}")
        if classes is None:
            return latent
        return torch.cat([latent, functional.one_hot(classes, self.config.classes).to(latent.dtype)], dim=1)


def _convolution(inputs: int, outputs: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, kernel_size=3, padding=1)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
