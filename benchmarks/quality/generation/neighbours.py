"""Measures by nearest neighbours: precision and recall, the two-sample test, and the nearest training volume.

All take distances that were computed once, and weights: how often a sample is there in a resample. Copies of a sample
are no neighbours of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Quartiles:
    """The least, the middle and the greatest of some distances."""

    least: float
    median: float
    greatest: float

    @classmethod
    def of(cls, distances: np.ndarray) -> Quartiles:
        """Those of an array of distances."""
        return cls(float(distances.min()), float(np.median(distances)), float(distances.max()))


@dataclass(frozen=True)
class Nearest:
    """Distances of features to the nearest training volume; a generator that copies comes too near.

    Attributes:
        generated: distances of generated volumes.
        real: distances of real volumes that are compared with, which may be training volumes themselves.
        training: distances of training volumes to another training volume.
        closer: the share of generated volumes nearer to a training volume than any two training volumes are to each
            other.
    """

    generated: Quartiles
    real: Quartiles
    training: Quartiles
    closer: float


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Euclidean distances of (n, d) and (m, d) features, (n, m)."""
    squares = np.square(one).sum(1)[:, None] + np.square(other).sum(1)[None] - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0))


def precision(real: np.ndarray, between: np.ndarray, k: int, weights: np.ndarray | None = None) -> float:
    """The share of samples that lie among the real ones (Kynkäänniemi et al., 2019).

    A sample does so if, for some real one, it is no farther from it than that one's k-th nearest real neighbour. With
    the two sets exchanged, this is the recall.

    Args:
        real: (n, n) distances of real samples.
        between: (n, m) distances of real samples to the others.
        k: the neighbour that gives the radius.
        weights: (m,) how often each of the others counts; None is once.

    Raises:
        ValueError: not more than ``k`` real samples.
    """
    if len(real) <= k:
        raise ValueError(f"`neighbours` {k}: there are {len(real)} samples; there must be more than neighbours")
    radius = np.partition(_without_own(real), k - 1, axis=1)[:, k - 1]
    inside = (between <= radius[:, None]).any(0)
    return float(np.average(inside, weights=weights))


def neighbour_accuracy(pooled: np.ndarray, first: int, weights: np.ndarray | None = None) -> float:
    """How often the nearest neighbour of a sample, itself left out, is of its own set (Lopez-Paz and Oquab, 2017).

    The mean of the shares in the two sets: about 0.5 for sets that nothing tells apart, whatever their sizes, and 1 for
    sets apart from each other. Less than 0.5 is a sign of copies.

    Args:
        pooled: (n + m, n + m) distances of all samples.
        first: the number n of samples in the first set; m at least 1.
        weights: (n + m,) how often each sample counts; None is once.
    """
    nearest = _without_own(pooled).argmin(1)
    own = (np.arange(len(pooled)) < first) == (nearest < first)
    weights = np.ones(len(pooled)) if weights is None else weights
    parts = [np.average(own[part], weights=weights[part]) for part in (slice(first), slice(first, None))]
    return float(np.mean(parts))


def nearest_training(generated: np.ndarray, real: np.ndarray, training: np.ndarray) -> Nearest:
    """Distances of (n, d) features to the nearest training volume.

    Real volumes that are training volumes themselves, so at no distance from one, are compared with the next.

    Raises:
        ValueError: fewer than two training volumes.
    """
    if len(training) < 2:
        raise ValueError(f"{len(training)} training volumes: 2 or more are needed to compare with their own distances")
    among = _without_own(distances(training, training)).min(1)
    near = distances(generated, training).min(1)
    closer = float((near < among.min()).mean())
    return Nearest(Quartiles.of(near), Quartiles.of(_to_others(real, training)), Quartiles.of(among), closer)


def _to_others(real: np.ndarray, training: np.ndarray) -> np.ndarray:
    found = distances(real, training)
    rounding = 1e-6 * np.linalg.norm(training, axis=1).max()  # of the difference of two squares, in a distance of 0
    return np.where(found <= rounding, np.inf, found).min(1)


def _without_own(square: np.ndarray) -> np.ndarray:
    """Distances among samples, none of a sample to itself."""
    apart = square.copy()
    np.fill_diagonal(apart, np.inf)
    return apart
