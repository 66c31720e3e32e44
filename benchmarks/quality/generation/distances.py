"""Distances of two sets of features: the Fréchet distance, and HA-GAN's maximum mean discrepancy."""

from __future__ import annotations

import numpy as np

_RIDGE = 1e-5
"""What HA-GAN's statistic adds to every squared distance."""


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The squared Fréchet distance of the normal distributions with the samples' means and covariances.

    Heusel et al. (2017): |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½). With centred samples A and B, C1 = AᵀA and C2 = BᵀB,
    the last trace is the sum of the singular values of A Bᵀ. This is the sum of the square roots of the eigenvalues
    of C1^½ C2 C1^½, without a root of a matrix, and stays exact where there are fewer samples than features.

    Args:
        one, other: (n, d) features, n at least 2.

    Raises:
        ValueError: fewer than two samples, or another number of features.
    """
    _check(one, other)
    a, b = _centred(one), _centred(other)
    shared = np.linalg.svd(_reduced(a) @ _reduced(b).T, compute_uv=False).sum()
    spread = np.square(a).sum() + np.square(b).sum() - 2 * shared
    return float(np.square(one.mean(0) - other.mean(0)).sum() + max(spread, 0.0))


def is_rank_deficient(dims: int, *samples: int) -> bool:
    """Whether a covariance of ``dims`` features from so few samples has no full rank.

    The Fréchet distance is then biased upwards, the more the fewer samples there are.
    """
    return min(samples) <= dims


def maximum_mean_discrepancy(one: np.ndarray, other: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel of HA-GAN's evaluation (Sun et al., 2022).

    The kernel is exp(-d²/m²), where m is the median of the distances between all pooled samples
    (:func:`median_distance`). The estimator is equation 3 of Gretton et al. (2012); it may be negative.

    Args:
        one, other: (n, d) features, n at least 2.

    Raises:
        ValueError: fewer than two samples, or another number of features.
    """
    _check(one, other)
    everything = kernel(pooled_distances(one, other))
    return discrepancy(everything, np.ones(len(one)), np.ones(len(other)))


def pooled_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances √(1e-5 + |x - y|²) of all samples of both sets, (n1 + n2, n1 + n2)."""
    samples = np.concatenate([one, other])
    lengths = np.square(samples).sum(1)
    squares = lengths[:, None] + lengths[None] - 2 * samples @ samples.T
    return np.sqrt(_RIDGE + np.abs(squares))


def median_distance(distances: np.ndarray) -> float:
    """The lower median of a whole matrix of distances, each sample's distance to itself included."""
    middle = (distances.size - 1) // 2
    return float(np.partition(distances, middle, axis=None)[middle])


def kernel(distances: np.ndarray) -> np.ndarray:
    """exp(-d²/m²) of a matrix of distances with the median m."""
    return np.exp(-np.square(distances / median_distance(distances)))


def discrepancy(values: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """The discrepancy of two weighted samples; a pair of a sample with itself counts nowhere.

    Args:
        values: (n1 + n2, n1 + n2) values of the kernel.
        one: (n1,) how often each sample of the first set is there.
        other: (n2,) how often each sample of the second set is there.
    """
    n = len(one)
    between = one @ values[:n, n:] @ other / (one.sum() * other.sum())
    return float(_within(values[:n, :n], one) + _within(values[n:, n:], other) - 2 * between)


def _within(values: np.ndarray, weights: np.ndarray) -> float:
    own = np.square(weights)
    pairs = np.square(weights.sum()) - own.sum()
    return float((weights @ values @ weights - own @ np.diagonal(values)) / pairs)


def _centred(features: np.ndarray) -> np.ndarray:
    """Samples of mean 0, of which the product with themselves is the covariance."""
    centred: np.ndarray = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return centred


def _reduced(samples: np.ndarray) -> np.ndarray:
    """Of no more rows than columns, with the same covariance."""
    if len(samples) <= samples.shape[1]:
        return samples
    triangle: np.ndarray = np.linalg.qr(samples, mode="r")  # type: ignore[assignment]
    return triangle


def _check(one: np.ndarray, other: np.ndarray) -> None:
    if min(len(one), len(other)) < 2:
        raise ValueError(f"a distance of {len(one)} and {len(other)} samples: each set must have 2 or more")
    if one.shape[1:] != other.shape[1:]:
        raise ValueError(f"samples of {one.shape[1:]} and of {other.shape[1:]} features cannot be compared")
