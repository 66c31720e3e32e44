"""Precision, recall, the two-sample test and the nearest training volume: on points whose answers one sees."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.generation.neighbours import (
    distances,
    nearest_training,
    neighbour_accuracy,
    precision,
)

LINE = np.array([[0.0], [1.0], [2.0], [3.0]])
"""Four points; the radius of each with k = 1 is 1, with k = 2 it is 2, 1, 1, 2."""


def precision_of(real: np.ndarray, other: np.ndarray, k: int) -> float:
    return precision(distances(real, real), distances(real, other), k)


def test_precision_counts_samples_within_the_radius_of_a_real_one() -> None:
    others = np.array([[-0.9], [-1.1], [3.5], [10.0]])
    assert precision_of(LINE, others, 1) == 0.5
    assert precision_of(LINE, others, 2) == 0.75
    assert precision_of(LINE, LINE, 1) == 1


def test_recall_finds_a_mode_that_is_missing() -> None:
    random = np.random.default_rng(0)
    real = np.concatenate([random.normal(0, 1, (20, 4)), random.normal(50, 1, (20, 4))])
    generated = random.normal(0, 1, (40, 4))
    apart = distances(real, generated)
    assert precision(distances(real, real), apart, 3) > 0.8
    assert precision(distances(generated, generated), apart.T, 3) == pytest.approx(0.5, abs=0.1)


def test_a_radius_needs_neighbours() -> None:
    with pytest.raises(ValueError, match="`neighbours` 4: there are 4 samples"):
        precision_of(LINE, LINE, 4)


def accuracy(one: np.ndarray, other: np.ndarray) -> float:
    samples = np.concatenate([one, other])
    return neighbour_accuracy(distances(samples, samples), len(one))


def test_nothing_tells_alike_sets_apart_whatever_their_sizes() -> None:
    random = np.random.default_rng(0)
    found = [accuracy(random.normal(size=(40, 3)), random.normal(size=(160, 3))) for _ in range(30)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)


def test_sets_apart_are_told_apart_and_copies_look_too_much_alike() -> None:
    random = np.random.default_rng(0)
    real = random.normal(size=(30, 3))
    assert accuracy(real, real + 100) == 1
    assert accuracy(real, real + 1e-3) == 0


def test_a_copy_of_a_training_volume_is_found() -> None:
    random = np.random.default_rng(0)
    training, real = random.normal(size=(2, 20, 8))
    own = random.normal(size=(10, 8))
    copies = training[:10] + 1e-3
    fine, copied = (nearest_training(each, real, training) for each in (own, copies))
    assert copied.closer == 1
    assert fine.closer < 0.3
    assert copied.generated.median < 0.01 * fine.generated.median
    assert fine.real.median == pytest.approx(fine.generated.median, rel=0.3)
    assert fine.training == copied.training


def test_training_volumes_as_the_real_ones_are_compared_with_the_next() -> None:
    training = np.random.default_rng(0).normal(size=(20, 8))
    found = nearest_training(training + 3, training, training)
    assert found.real == found.training
    assert found.real.least > 0


def test_one_training_volume_is_too_few() -> None:
    with pytest.raises(ValueError, match="1 training volumes: 2 or more"):
        nearest_training(LINE, LINE, LINE[:1])
