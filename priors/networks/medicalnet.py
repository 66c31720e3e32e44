"""MedicalNet's 3-D ResNet-10 as a perceptual distance of whole volumes, without slices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from priors.networks.perceptual import unit_normalise


class _Block(nn.Module):
    """Two 3 x 3 x 3 convolutions beside a shortcut, which is projected where width or resolution change."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        self.downsample = nn.Sequential()
        if inputs != outputs:
            projection = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(branch + self.downsample(x))


class ResNet10(nn.Module):
    """The encoder of Med3D (Chen et al., 2019): 512 channels at an eighth of the resolution.

    The last two layers are dilated instead of strided. State-dict keys are those of ``resnet_10_23dataset.pth``
    without its ``module.`` prefix.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(1, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.pool = nn.MaxPool3d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(_Block(64, 64, stride=1, dilation=1))
        self.layer2 = nn.Sequential(_Block(64, 128, stride=2, dilation=1))
        self.layer3 = nn.Sequential(_Block(128, 256, stride=1, dilation=2))
        self.layer4 = nn.Sequential(_Block(256, 512, stride=1, dilation=4))

    def forward(self, volumes: Tensor) -> Tensor:
        """Features (B, 512, z, x, y) of volumes (B, 1, Z, X, Y)."""
        hidden = self.pool(torch.relu(self.bn1(self.conv1(volumes))))
        return self.layer4(self.layer3(self.layer2(self.layer1(hidden))))


class MedicalNetPerceptual(nn.Module):
    """Squared distance of two volumes' unit-length features, averaged over positions and the batch.

    Each volume is first brought to mean 0 and standard deviation 1, as in MedicalNet's own training. Frozen, and
    always in evaluation mode whatever mode a parent module is in, so that the norms keep their published statistics.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = ResNet10()
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> MedicalNetPerceptual:
        """Stay in evaluation mode."""
        return super().train(False)

    def _features(self, volumes: Tensor) -> Tensor:
        mean = volumes.mean((1, 2, 3, 4), keepdim=True)
        # An even patch (air) has no deviation to divide by; below this the variance is rounding noise.
        variance = volumes.var((1, 2, 3, 4), keepdim=True).clamp_min(1e-8)
        return unit_normalise(self.network((volumes - mean) / variance.sqrt()))

    def forward(self, x: Tensor, reconstruction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The distance of volumes (B, 1, Z, X, Y), a scalar; nothing is random, so no number is drawn."""
        return (self._features(x) - self._features(reconstruction)).square().sum(1).mean()

    def of_slices(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """The distance of axial slices (B, 1, X, Y), a scalar; each is a volume of its own."""
        distance: Tensor = self(x[:, :, None], reconstruction[:, :, None])
        return distance
