"""Features of CT volumes by an inflated ResNet-152 that was trained on reports of chest and abdomen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.quality.features.network import VoxelSize
from priors.networks.resnet3d import ResNet3D

HALF_GRID = (80, 112, 112)
"""(z, x, y): half of the grid of the network's training (160, 224, 224), an eighth of its operations."""

_WINDOW = 1.2
"""From -1000 to 200 HU, the window of its training, in units of the network range of -1000 to 1000 HU."""

_AIR = -0.99
"""Background is below -990 HU. The training cropped at -1000 HU, where the least noise of a generator would decide."""


class CTResNetFeatures:
    """2048 features of a CT volume: cropped to what is not background, brought to one grid, and windowed.

    Args:
        network: the network, in evaluation mode.
        sha256: the hash of its tensors.
        device: the device that computes.
        grid: (z, x, y) voxels that every volume is brought to; features of different grids are not comparable.
    """

    def __init__(
        self,
        network: ResNet3D,
        sha256: str,
        device: torch.device | str = "cpu",
        grid: tuple[int, int, int] = HALF_GRID,
    ) -> None:
        self._network = network.eval().to(device)
        self._device, self._grid = torch.device(device), grid
        self.sha256 = sha256
        self.dims = network.config.features
        self.name = f"3D CT ResNet-152, volumes on {' x '.join(map(str, grid))}"

    @torch.inference_mode()
    def features(self, volumes: Tensor, spacing: VoxelSize) -> np.ndarray:
        """(n, 2048) float64 of CT volumes (n, Z, X, Y); the grid is fixed, so the voxel size plays no part."""
        rows = [self._network(self._prepared(volume)[None]) for volume in volumes]
        return torch.cat(rows).double().cpu().numpy()

    def _prepared(self, volume: Tensor) -> Tensor:
        """(3, z, x, y) in [0, 1]."""
        inside = cropped(volume.to(self._device, torch.float32))
        resized = functional.interpolate(inside[None, None], size=self._grid, mode="area")[0]
        return ((resized + 1) / _WINDOW).clamp(0, 1).expand(3, -1, -1, -1)


def cropped(volume: Tensor) -> Tensor:
    """The smallest box of (Z, X, Y) that holds everything above background; an empty volume as it is."""
    body = volume > _AIR
    if not body.any():
        return volume
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = body.any(others[1]).any(others[0]).nonzero()
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return volume[tuple(box)]
