"""The first stage of a 3D ResNet-152 for CT as a perceptual distance of volumes.

Early features tell blur from sharpness and noise from texture. Mean errors at equal PSNR do not: they reward the
smoothest image. The network is Merlin's (Blankemeier et al. 2024), tuned on reports of CT.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from priors.networks.perceptual import unit_normalise
from priors.networks.resnet3d import CT_RESNET152, ResNet3D

FIRST_STAGE = replace(CT_RESNET152, blocks=CT_RESNET152.blocks[:1], strides=(1,), dilations=(1,))
"""The stem and the first stage of the inflated ResNet-152: 0.3 million parameters."""


class CTPerceptual(nn.Module):
    """Squared distance of two volumes' unit-length features, averaged over positions and the batch, summed over stages.

    Frozen, and always in evaluation mode whatever mode a parent module is in, so that the norms keep their published
    statistics.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = ResNet3D(FIRST_STAGE)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> CTPerceptual:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, x: Tensor, reconstruction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The distance of volumes (B, 1, Z, X, Y) in the network range, a scalar; nothing is random."""
        pairs = zip(self.network.maps(_shown(x)), self.network.maps(_shown(reconstruction)), strict=True)
        distances = [(unit_normalise(a) - unit_normalise(b)).square().sum(1).mean() for a, b in pairs]
        return torch.stack(distances).sum()

    def of_slices(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """The distance of axial slices (B, 1, X, Y) in the network range, a scalar; each is a volume of its own."""
        distance: Tensor = self(x[:, :, None], reconstruction[:, :, None])
        return distance


def _shown(volumes: Tensor) -> Tensor:
    """(HU + 1000) / 2000 clipped to 0 and 1, in three equal channels."""
    return ((volumes + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1, -1)
