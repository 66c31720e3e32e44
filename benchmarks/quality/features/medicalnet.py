"""Features by MedicalNet's ResNet-50 as HA-GAN's evaluation takes them, the definition behind the paper's figures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.features.network import VoxelSize
from priors.weights.medicalnet_files import MedicalNet


class MedicalNetFeatures:
    """2048 features of a volume, fed as it is: in [-1, 1] and at its own size, neither standardised nor resized.

    Args:
        weights: the network from the user's file.
        device: the device that computes; 256 x 256 x 256 voxels take 3.3 TFLOP.
    """

    def __init__(self, weights: MedicalNet, device: torch.device | str = "cpu") -> None:
        self._network, self._device = weights.network.to(device), torch.device(device)
        self.sha256, self.dims = weights.sha256, weights.network.config.features
        self.name = f"MedicalNet ResNet-50, {weights.title}"

    @torch.inference_mode()
    def features(self, volumes: Tensor, spacing: VoxelSize) -> np.ndarray:
        """(n, 2048) float64 of volumes (n, Z, X, Y); the voxel size plays no part."""
        images = volumes[:, None].to(self._device, torch.float32)
        return torch.cat([self._network(image[None]) for image in images]).double().cpu().numpy()
