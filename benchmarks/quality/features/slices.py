"""Features of volumes by a network of pictures: slices in three directions, which is called 2.5D."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.quality.features.network import VoxelSize
from priors.networks.efficientnet_lite0 import FEATURES, EfficientNetLite0, prepared

_EDGE = 224
"""Pixels of a picture, as in the network's training."""

_SLICES = 32
"""Slices of each direction, evenly spaced."""

_BATCH = 16
"""Pictures that the network takes at once."""


class SliceFeatures:
    """Mean features of axial, sagittal and coronal slices, one direction after another.

    Args:
        network: the network, in evaluation mode.
        sha256: the hash of its tensors.
        device: the device that computes.
    """

    name = f"EfficientNet-Lite0 (ImageNet), means over {_SLICES} slices in each of three directions"
    dims = 3 * FEATURES

    def __init__(self, network: EfficientNetLite0, sha256: str, device: torch.device | str = "cpu") -> None:
        self._network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = torch.device(device)
        self.sha256 = sha256

    @torch.inference_mode()
    def features(self, volumes: Tensor, spacing: VoxelSize) -> np.ndarray:
        """(n, 3840) float64 of volumes (n, Z, X, Y); slices are shown with square pixels."""
        rows = [self._of_volume(volume.to(self._device, torch.float32), spacing) for volume in volumes]
        return torch.stack(rows).double().cpu().numpy()

    def _of_volume(self, volume: Tensor, spacing: VoxelSize) -> Tensor:
        return torch.cat([self._of_direction(pictures(volume, axis, spacing)) for axis in range(3)])

    def _of_direction(self, slices: Tensor) -> Tensor:
        ordered = (part.contiguous(memory_format=torch.channels_last) for part in prepared(slices).split(_BATCH))
        return torch.cat([self._network(part) for part in ordered]).mean(0)


def pictures(volume: Tensor, axis: int, spacing: VoxelSize) -> Tensor:
    """Evenly spaced slices along an axis as pictures (k, 3, 224, 224) in [0, 1], black where the slice ends.

    Args:
        volume: (Z, X, Y) in [-1, 1].
        axis: the direction.
        spacing: the voxel size.
    """
    slices = volume.movedim(axis, 0)
    count = min(len(slices), _SLICES)
    chosen = ((torch.arange(count, device=volume.device) + 0.5) * len(slices) / count).long()
    lengths = [volume.shape[other] * spacing[other] for other in range(3) if other != axis]
    height, width = (max(round(_EDGE * length / max(lengths)), 1) for length in lengths)
    grey = ((slices[chosen] + 1) / 2).clamp(0, 1)[:, None]
    grey = functional.interpolate(grey, size=(height, width), mode="bilinear", antialias=True)
    top, left = (_EDGE - height) // 2, (_EDGE - width) // 2
    margins = (left, _EDGE - width - left, top, _EDGE - height - top)
    return functional.pad(grey, margins).expand(-1, 3, -1, -1)
