"""The Fréchet distance and HA-GAN's discrepancy: known answers, and each written out plainly another time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.linalg import sqrtm

from benchmarks.quality.generation.distances import (
    discrepancy,
    frechet_distance,
    is_rank_deficient,
    kernel,
    maximum_mean_discrepancy,
    median_distance,
    pooled_distances,
)

FRECHET, FRECHET_FEW, DISCREPANCY = 0.2929172365461731, 4.808863808798657, 0.011273740969455215
"""What these functions gave of :func:`formula` on the day when they agreed with the recordings in ``../shared``, to
4e-15 for full rank, 4e-9 where SciPy's root of a matrix was taken of rank-deficient ones, and 8e-15."""


def formula(n: int, dims: int, phase: float) -> np.ndarray:
    """Features without a random number."""
    grid = np.arange(n)[:, None] * 0.7 + np.arange(dims)[None] ** 2 * 0.3 + phase
    return np.sin(grid) + 0.1 * phase


def test_known_answers() -> None:
    one, other = formula(30, 5, 0.0), formula(21, 5, 2.5)
    assert frechet_distance(one, other) == pytest.approx(FRECHET, rel=1e-9)
    assert frechet_distance(one[:4], other[:3]) == pytest.approx(FRECHET_FEW, rel=1e-9)
    assert maximum_mean_discrepancy(one, other) == pytest.approx(DISCREPANCY, rel=1e-9)


def test_the_recordings_are_reproduced(shared: Path) -> None:
    folder = shared / "fixtures" / "generation" / "metrics"
    known = json.loads((folder / "metrics.json").read_text())["values"]
    held = {name: tensor.astype(float) for name, tensor in load_file(folder / "metrics.safetensors").items()}
    real, fake = held["real"], held["fake"]
    assert frechet_distance(real, fake) == pytest.approx(known["frechet"], rel=1e-9)
    few = frechet_distance(held["few"], held["few2"])
    assert few == pytest.approx(known["frechet_rank_deficient"], rel=1e-6)
    assert maximum_mean_discrepancy(real, fake) == pytest.approx(known["mmd_ha_gan"], rel=1e-9)
    assert median_distance(pooled_distances(real, fake)) == pytest.approx(known["mmd_ha_gan_median_distance"], rel=1e-9)
    halves = maximum_mean_discrepancy(real[:20], real[20:])
    assert halves == pytest.approx(known["mmd_ha_gan_self_halves"], rel=1e-9)


def test_the_frechet_distance_is_that_of_the_definition() -> None:
    """The root of a matrix by SciPy, and the eigenvalues of C1^½ C2 C1^½."""
    random = np.random.default_rng(0)
    one, other = random.normal(size=(40, 6)), random.normal(0.3, 1.5, (50, 6))
    c1, c2 = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    means = np.square(one.mean(0) - other.mean(0)).sum()
    by_root = means + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    values, vectors = np.linalg.eigh(c1)
    half = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    by_eigenvalues = means + np.trace(c1 + c2) - 2 * np.sqrt(np.linalg.eigvalsh(half @ c2 @ half)).sum()
    assert frechet_distance(one, other) == pytest.approx(by_root, rel=1e-9)
    assert frechet_distance(one, other) == pytest.approx(by_eigenvalues, rel=1e-9)


def test_frechet_distance_of_normal_samples_is_the_known_one() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, (20000, 2)), random.normal((3, 0), (2, 1), (20000, 2))
    assert frechet_distance(one, other) == pytest.approx(9 + 1, rel=0.03), "distance of the means, of the deviations"
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-12)


def test_fewer_samples_bias_the_frechet_distance_and_not_the_discrepancy() -> None:
    random = np.random.default_rng(1)
    few = [frechet_distance(*random.normal(size=(2, 8, 30))) for _ in range(20)]
    many = [frechet_distance(*random.normal(size=(2, 80, 30))) for _ in range(20)]
    assert np.mean(few) > 3 * np.mean(many) > 0
    discrepancies = [maximum_mean_discrepancy(*random.normal(size=(2, 8, 30))) for _ in range(200)]
    assert abs(np.mean(discrepancies)) < 3 * np.std(discrepancies) / math.sqrt(200)
    assert is_rank_deficient(30, 31, 30)
    assert not is_rank_deficient(30, 31, 31)


def test_the_discrepancy_is_that_of_the_definition() -> None:
    random = np.random.default_rng(2)
    one, other = random.normal(size=(5, 3)), random.normal(0.5, 1, (6, 3))
    samples = [*one, *other]
    apart = [[math.sqrt(1e-5 + float(np.square(a - b).sum())) for b in samples] for a in samples]
    middle = sorted(value for row in apart for value in row)[(len(samples) ** 2 - 1) // 2]
    value = [[math.exp(-((d / middle) ** 2)) for d in row] for row in apart]
    first, second = range(5), range(5, 11)
    within = sum(value[i][j] for i in first for j in first if i != j) / 20
    within += sum(value[i][j] for i in second for j in second if i != j) / 30
    between = sum(value[i][j] for i in first for j in second) / 30
    assert maximum_mean_discrepancy(one, other) == pytest.approx(within - 2 * between, rel=1e-9)


def test_the_discrepancy_is_nothing_for_alike_and_grows_with_the_distance() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(200, 3)), random.normal(size=(200, 3))
    near, far = (maximum_mean_discrepancy(a, b + shift) for shift in (0.5, 3.0))
    assert abs(maximum_mean_discrepancy(a, b)) < 0.01
    assert 0.01 < near < far < 2


def test_copies_in_a_resample_are_no_pairs() -> None:
    """A volume that was drawn twice would otherwise be most similar to itself."""
    random = np.random.default_rng(3)
    one, other = random.normal(size=(6, 4)), random.normal(size=(7, 4))
    values = kernel(pooled_distances(one, other))
    once = discrepancy(values, np.ones(6), np.ones(7))
    assert discrepancy(values, 2 * np.ones(6), 3 * np.ones(7)) == pytest.approx(once)
    part = discrepancy(values, np.array([1, 1, 1, 0, 0, 0]), np.ones(7))
    chosen = [0, 1, 2, *range(6, 13)]
    assert part == pytest.approx(discrepancy(values[np.ix_(chosen, chosen)], np.ones(3), np.ones(7)))


@pytest.mark.parametrize("distance", [frechet_distance, maximum_mean_discrepancy])
def test_what_cannot_be_compared(distance) -> None:
    samples = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"a distance of 1 and 4 samples: each set must have 2 or more"):
        distance(samples[:1], samples)
    with pytest.raises(ValueError, match=r"samples of \(3,\) and of \(2,\) features"):
        distance(samples, samples[:, :2])
