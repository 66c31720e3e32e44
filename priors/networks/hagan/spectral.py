"""Spectral normalisation as in BigGAN: weights over their largest singular value, which power iterations follow.

Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019), after Miyato et al. (2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST = 1e-12


class SpectralWeight:
    """What convolutions and linear layers with spectral normalisation have in common.

    The buffers are ``u0`` (1, outputs), the estimate of the left singular vector, and ``sv0`` (1,), the last singular
    value. A forward pass makes one power iteration; in training mode it stays in the buffers.
    """

    u0: Tensor
    sv0: Tensor
    weight: Tensor
    training: bool

    def normalised(self) -> Tensor:
        """The weight over its largest singular value."""
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            v = functional.normalize(self.u0 @ matrix, eps=_LEAST)
            u = functional.normalize(v @ matrix.T, eps=_LEAST)
        value = (v @ matrix.T @ u.T).squeeze()
        if self.training:
            with torch.no_grad():
                self.u0.copy_(u)
                self.sv0.copy_(value)
        return self.weight / value


class SpectralConv3d(SpectralWeight, nn.Conv3d):
    """A convolution with spectral normalisation.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: edges (z, x, y) of the kernel.
        stride: strides (z, x, y).
        padding: padding (z, x, y).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int],
        padding: tuple[int, int, int],
    ) -> None:
        nn.Conv3d.__init__(self, inputs, outputs, kernel, stride, padding)
        _add_buffers(self, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, Z, X, Y) to (B, outputs, Z', X', Y')."""
        return functional.conv3d(x, self.normalised(), self.bias, self.stride, self.padding)


class SpectralLinear(SpectralWeight, nn.Linear):
    """A linear layer with spectral normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        nn.Linear.__init__(self, inputs, outputs)
        _add_buffers(self, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs)."""
        return functional.linear(x, self.normalised(), self.bias)


def _add_buffers(layer: nn.Module, outputs: int) -> None:
    layer.register_buffer("u0", torch.randn(1, outputs))
    layer.register_buffer("sv0", torch.ones(1))
