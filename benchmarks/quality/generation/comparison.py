"""All distances of two sets of features together, how they vary with the volumes, and what they are for real halves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.generation.distances import discrepancy, frechet_distance, kernel, pooled_distances
from benchmarks.quality.generation.neighbours import distances, neighbour_accuracy, precision

MEASURES = ("frechet", "mmd", "precision", "recall", "neighbour_accuracy")
"""Names of the distances."""

_RANGES = {"mmd": (-np.inf, np.inf), "frechet": (0.0, np.inf)}
"""Values that a distance can have; those of all others are from 0 to 1."""

_TWO_SIDED = 1.96
"""Standard errors on each side of an interval of 95 %."""


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its interval of 95 %, by a bootstrap over volumes."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """The mean and the standard deviation of a value over draws."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Floor:
    """What two random halves of the real volumes are apart, beside as many generated volumes against one half.

    Attributes:
        size: the number of volumes on each side, in both.
        draws: the number of random draws.
        real: the spread of each measure between the halves.
        generated: the spread of each measure between generated volumes and a half.
    """

    size: int
    draws: int
    real: Mapping[str, Spread]
    generated: Mapping[str, Spread]


def compare(real: np.ndarray, generated: np.ndarray, k: int) -> dict[str, float]:
    """The :data:`MEASURES` of (n, d) real and (m, d) generated features.

    Args:
        k: the neighbour of precision and recall.

    Raises:
        ValueError: not more than ``k`` volumes of a kind.
    """
    return _Pooled(real, generated).measures(np.arange(len(real)), np.arange(len(generated)), k)


def estimates(
    real: np.ndarray, generated: np.ndarray, k: int, resamples: int, random: np.random.Generator
) -> dict[str, Estimate]:
    """The :data:`MEASURES` with intervals: 1.96 standard deviations of the resamples on each side.

    Volumes of both sets are drawn with replacement. Copies of a volume are no pair of the discrepancy and no neighbours
    of each other: the resamples of those measures would be biased. The Fréchet distance has a bias towards the top
    whatever is done, so its interval says how it varies, and not where its limit for many volumes is.
    """
    pooled = _Pooled(real, generated)
    values = compare(real, generated, k)
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for one, other in _resamples(len(real), len(generated), k, resamples, random):
        for name, value in pooled.measures(one, other, k).items():
            found[name].append(value)
    return {name: _interval(value, found[name], *_RANGES.get(name, (0.0, 1.0))) for name, value in values.items()}


def floor(real: np.ndarray, generated: np.ndarray, k: int, draws: int, random: np.random.Generator) -> Floor:
    """Distances of random halves of the real volumes, and of as many generated volumes from one of the halves.

    Args:
        real: (n, d) features, n at least 2 (k + 1).
        generated: (m, d) features, m at least k + 1.

    Raises:
        ValueError: too few volumes.
    """
    size = min(len(real) // 2, len(generated))
    of_real, of_generated = random.spawn(2)  # the halves are the same ones for every method of a table
    found: dict[str, list[dict[str, float]]] = {"real": [], "generated": []}
    for _ in range(draws):
        shuffled = of_real.permutation(len(real))
        half, rest = real[shuffled[:size]], real[shuffled[size : 2 * size]]
        some = generated[of_generated.permutation(len(generated))[:size]]
        found["real"].append(compare(half, rest, k))
        found["generated"].append(compare(half, some, k))
    return Floor(size, draws, _spreads(found["real"]), _spreads(found["generated"]))


class _Pooled:
    """Two sets with everything that does not depend on which of their volumes are drawn."""

    def __init__(self, real: np.ndarray, generated: np.ndarray) -> None:
        self.real, self.generated = real, generated
        self.kernel = kernel(pooled_distances(real, generated))
        samples = np.concatenate([real, generated])
        self.distances = distances(samples, samples)

    def measures(self, one: np.ndarray, other: np.ndarray, k: int) -> dict[str, float]:
        """Of the drawn volumes, by their numbers in the two sets; a number may come several times."""
        first, firsts = np.unique(one, return_counts=True)
        second, seconds = np.unique(other, return_counts=True)
        chosen = np.concatenate([first, len(self.real) + second])
        n, apart = len(first), self.distances[np.ix_(chosen, chosen)]
        return {
            "frechet": frechet_distance(self.real[one], self.generated[other]),
            "mmd": discrepancy(self.kernel[np.ix_(chosen, chosen)], firsts, seconds),
            "precision": precision(apart[:n, :n], apart[:n, n:], k, seconds),
            "recall": precision(apart[n:, n:], apart[n:, :n], k, firsts),
            "neighbour_accuracy": neighbour_accuracy(apart, n, np.concatenate([firsts, seconds])),
        }


def _resamples(
    n: int, m: int, k: int, count: int, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of volumes drawn with replacement, more than ``k`` different ones of each set."""
    while count:
        one, other = random.integers(n, size=n), random.integers(m, size=m)
        if min(len(np.unique(one)), len(np.unique(other))) > k:
            count -= 1
            yield one, other


def _interval(value: float, resampled: list[float], least: float, most: float) -> Estimate:
    reach = _TWO_SIDED * float(np.std(resampled, ddof=1)) if len(resampled) > 1 else 0.0
    return Estimate(value, max(value - reach, least), min(value + reach, most))


def _spreads(rows: list[dict[str, float]]) -> dict[str, Spread]:
    columns = {name: np.array([row[name] for row in rows]) for name in MEASURES}
    return {name: Spread(float(each.mean()), float(each.std(ddof=1))) for name, each in columns.items()}
