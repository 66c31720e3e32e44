"""How the U-Nets of volumes are told the time of the diffusion."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SinusoidalEmbedding(nn.Module):
    """Sines, then cosines, of a time step at ``width`` / 2 frequencies from 1 to 1/10000."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._half = width // 2

    def forward(self, t: Tensor) -> Tensor:
        """(B,) to (B, width) float32."""
        index = torch.arange(self._half, device=t.device, dtype=torch.float32)
        phase = t[:, None].float() * torch.exp(index * (-math.log(10000) / (self._half - 1)))
        return torch.cat([phase.sin(), phase.cos()], dim=1)


def time_network(width: int) -> nn.Sequential:
    """From times (B,) to the condition (B, 4 * width) of residual blocks."""
    return nn.Sequential(
        SinusoidalEmbedding(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, 4 * width)
    )
