"""Plain statistics in place of a network's features: nothing to fetch, and no scale that others use."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.quality.features.network import VoxelSize

_EDGE = 4


class PooledFeatures:
    """Means and standard deviations of 4 x 4 x 4 blocks of a volume, :func:`pooled_features`."""

    name = "block means and deviations (no network)"
    dims = 2 * _EDGE**3
    sha256 = ""

    def features(self, volumes: Tensor, spacing: VoxelSize) -> np.ndarray:
        """(n, 128) float64 of (n, Z, X, Y); the voxel size plays no part."""
        return pooled_features(volumes)


def pooled_features(volumes: Tensor) -> np.ndarray:
    """Means, then standard deviations of 4 x 4 x 4 blocks of volumes (n, Z, X, Y): (n, 128) float64."""
    images = volumes[:, None].double()
    means = functional.adaptive_avg_pool3d(images, _EDGE)
    squares = functional.adaptive_avg_pool3d(images.square(), _EDGE)
    spread = (squares - means.square()).clamp_min(0).sqrt()
    return torch.cat([means.flatten(1), spread.flatten(1)], dim=1).cpu().numpy()
