"""How far generated volumes are from real ones: Fréchet distance and maximum mean discrepancy of their features."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torch.nn import functional

POOLED = 4
"""Edge of the grid of block means that stands for a volume."""


def pooled_features(volumes: Tensor) -> np.ndarray:
    """Means and standard deviations of ``POOLED``³ blocks of each volume.

    The paper takes a 3D ResNet that was trained on medical images; its weights do not come with this package, so these
    plain features are compared in its place, and distances are not on the paper's scale.

    Args:
        volumes: (n, Z, X, Y) in the network range.

    Returns:
        (n, 2 · ``POOLED``³) float64.
    """
    images = volumes[:, None].double()
    means = functional.adaptive_avg_pool3d(images, POOLED)
    squares = functional.adaptive_avg_pool3d(images.square(), POOLED)
    spread = (squares - means.square()).clamp_min(0).sqrt()
    return torch.cat([means.flatten(1), spread.flatten(1)], dim=1).numpy()


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Of the normal distributions with the samples' means and covariances (Heusel et al., 2017).

    Args:
        one, other: (n, d) features, n at least 2.

    Raises:
        ValueError: fewer than two samples.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a Fréchet distance needs at least two samples of each kind")
    a, b = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (one, other))
    middle = sqrtm(a @ b)
    trace = float(np.trace(a) + np.trace(b) - 2 * np.trace(np.real(middle)))
    return float(np.square(one.mean(0) - other.mean(0)).sum() + max(trace, 0.0))


def maximum_mean_discrepancy(one: np.ndarray, other: np.ndarray) -> float:
    """Squared MMD with a Gaussian kernel as wide as the median distance (Gretton et al., 2012, equation 3; unbiased).

    Args:
        one, other: (n, d) features, n at least 2.

    Raises:
        ValueError: fewer than two samples.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a discrepancy needs at least two samples of each kind")
    everything = np.concatenate([one, other])
    squares = np.square(everything[:, None] - everything[None]).sum(-1)
    width = np.median(squares[np.triu_indices(len(everything), 1)])
    kernel = np.exp(-squares / (2 * max(float(width), 1e-12)))
    n, m = len(one), len(other)
    within = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())
