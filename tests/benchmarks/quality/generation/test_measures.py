"""Generated volumes measured as a whole: intervals, the floor, what is refused, and what is written down."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.quality.features.pooled import PooledFeatures
from benchmarks.quality.generation.comparison import MEASURES, compare, estimates, floor
from benchmarks.quality.generation.measures import (
    GenerationMeasures,
    MeasureSettings,
    measure_generation,
    similarity_of_pairs,
)

SPACING = (2.0, 2.0, 2.0)
QUICK = MeasureSettings(pairs=6, scales=2, halves=4, bootstrap=10)


def volumes(count: int, seed: int, shift: float = 0.0) -> Tensor:
    """Smooth volumes of 16 x 16 x 16 voxels around one picture."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, 4, 4, 4, generator=random) * 0.2 + shift
    return torch.nn.functional.interpolate(coarse, size=(16, 16, 16), mode="trilinear")[:, 0].clamp(-1, 1)


@pytest.fixture(scope="module")
def measured() -> GenerationMeasures:
    return measure_generation(
        volumes(12, 0), volumes(10, 1), PooledFeatures(), spacing=SPACING, training=volumes(9, 2), settings=QUICK
    )


def test_everything_is_measured(measured: GenerationMeasures) -> None:
    assert (measured.real, measured.generated, measured.dims) == (12, 10, 128)
    assert measured.features == PooledFeatures.name
    assert measured.rank_deficient
    for name in MEASURES:
        estimate = getattr(measured, name)
        assert estimate.low <= estimate.value <= estimate.high
        assert {name} <= measured.floor.real.keys() & measured.floor.generated.keys()
    assert (measured.floor.size, measured.floor.draws) == (6, 4)
    assert measured.ms_ssim is not None
    assert measured.ms_ssim_real is not None
    assert measured.ms_ssim.scales == 2
    assert measured.training is not None
    assert any("biased upwards" in note for note in measured.notes)
    assert any("Unequal numbers" in note for note in measured.notes)
    assert any("12 real and 10 generated" in note for note in measured.notes)


def test_measures_pass_through_json(measured: GenerationMeasures) -> None:
    assert GenerationMeasures.from_dict(json.loads(json.dumps(measured.to_dict()))) == measured
    bare = measure_generation(
        volumes(8, 0), volumes(8, 1), PooledFeatures(), spacing=SPACING, settings=MeasureSettings(scales=0, halves=2)
    )
    assert GenerationMeasures.from_dict(json.loads(json.dumps(bare.to_dict()))) == bare
    assert (bare.ms_ssim, bare.ms_ssim_real, bare.training) == (None, None, None)


class Unasked(PooledFeatures):
    """Features that must have been computed before."""

    def features(self, volumes: Tensor, spacing: Any) -> np.ndarray:
        raise AssertionError("asked again")


def test_what_was_computed_before_gives_the_same(measured: GenerationMeasures) -> None:
    real, generated, training = volumes(12, 0), volumes(10, 1), volumes(9, 2)
    pooled = PooledFeatures()
    again = measure_generation(
        list(real),
        list(generated),
        Unasked(),
        spacing=SPACING,
        settings=QUICK,
        real_features=pooled.features(real, SPACING),
        generated_features=pooled.features(generated, SPACING),
        training_features=pooled.features(training, SPACING),
        ms_ssim_real=similarity_of_pairs(real, QUICK),
    )
    assert again == measured


def test_the_seed_alone_decides() -> None:
    def with_seed(seed: int) -> GenerationMeasures:
        settings = MeasureSettings(scales=0, halves=3, bootstrap=5, seed=seed)
        return measure_generation(volumes(8, 0), volumes(8, 1), PooledFeatures(), spacing=SPACING, settings=settings)

    assert with_seed(0) == with_seed(0)
    assert with_seed(0).floor != with_seed(1).floor
    assert with_seed(0).frechet.value == with_seed(1).frechet.value


def test_volumes_of_another_kind_are_beyond_the_floor() -> None:
    pooled = PooledFeatures()
    real, alike, other = (
        pooled.features(each, SPACING) for each in (volumes(20, 0), volumes(20, 1), volumes(20, 2, 0.2))
    )
    fine, bad = (floor(real, each, 3, 20, np.random.default_rng(0)) for each in (alike, other))
    assert fine.real == bad.real
    for name in ("frechet", "mmd"):
        reach = 3 * fine.real[name].deviation
        assert abs(fine.generated[name].mean - fine.real[name].mean) < reach
        assert bad.generated[name].mean > bad.real[name].mean + reach
    assert compare(real, other, 3)["neighbour_accuracy"] > 0.9


def test_intervals_have_the_width_of_what_other_volumes_would_give() -> None:
    """Not of what copies within a resample do: those would shift the discrepancy and the neighbours."""
    random = np.random.default_rng(0)
    draws = [compare(random.normal(size=(30, 4)), random.normal(0.7, 1, (30, 4)), 3) for _ in range(100)]
    real, generated = random.normal(size=(30, 4)), random.normal(0.7, 1, (30, 4))
    found = estimates(real, generated, 3, 200, random)
    for name in ("mmd", "neighbour_accuracy", "precision"):
        deviation = np.std([each[name] for each in draws])
        half = (found[name].high - found[name].low) / 2
        assert 0.5 * 1.96 * deviation < half < 2 * 1.96 * deviation, name


def test_shares_stay_shares() -> None:
    random = np.random.default_rng(0)
    found = estimates(random.normal(size=(10, 2)), random.normal(0.5, 1, (10, 2)), 3, 50, random)
    for name in ("precision", "recall", "neighbour_accuracy"):
        assert 0 <= found[name].low <= found[name].high <= 1
    assert 0 <= found["frechet"].low <= found["frechet"].value


def refused(real: int = 8, generated: int = 8, settings: MeasureSettings = QUICK, **given: Any) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        measure_generation(
            volumes(real, 0), volumes(generated, 1), PooledFeatures(), spacing=SPACING, settings=settings, **given
        )
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_measured_is_said_in_one_line() -> None:
    assert "7 real volumes: 8 or more are needed" in refused(real=7)
    assert "3 generated volumes: 4 or more are needed" in refused(generated=3)
    assert "`scales` 5: volumes of 16 x 16 x 16 voxels allow 2" in refused(settings=MeasureSettings())
    assert "features of shape (3, 128): 8 volumes have 128 each" in refused(real_features=np.zeros((3, 128)))
    broken = volumes(8, 2)
    broken[3, 0, 0, 0] = torch.nan
    assert "volume 4 of 8 has NaN" in refused(training=broken)


@pytest.mark.parametrize("name", ["pairs", "kernel", "neighbours", "halves", "bootstrap"])
def test_counts_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` 0: must be"):
        MeasureSettings(**{name: 0})
