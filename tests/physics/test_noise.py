"""Transmission noise: mean and variance against theory, electronics, seeds, starved rays."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from physics.noise import (
    MINIMUM_COUNT,
    ComplexGaussianNoise,
    NoiseModel,
    TransmissionNoise,
    UnknownNoise,
    noise_from_dict,
)

SAMPLES = 200_000


def measure(noise: TransmissionNoise, value: float, seed: int = 1) -> tuple[Tensor, Tensor]:
    return noise.apply(torch.full((SAMPLES,), value, dtype=torch.float64), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("electronic", [0.0, 30.0])
@pytest.mark.parametrize("value", [0.0, 1.0, 2.5])
def test_mean_and_variance(value: float, electronic: float) -> None:
    """Counts c: Var p̂ = (c + e²)/c², and log's curvature biases the mean by half of that, to first order in 1/c."""
    measured, _ = measure(TransmissionNoise(1e4, electronic), value)
    counts = 1e4 * math.exp(-value)
    variance = (counts + electronic**2) / counts**2
    assert float(measured.var()) == pytest.approx(variance, rel=5 * (2 / SAMPLES) ** 0.5 + 5 * variance)
    standard_error = (variance / SAMPLES) ** 0.5
    assert float(measured.mean()) == pytest.approx(value + variance / 2, abs=5 * standard_error + 5 * variance**2)


def test_counts_are_poissons() -> None:
    """Without electronics the counts are whole, with mean equal to variance, at low counts too."""
    measured, _ = measure(TransmissionNoise(1000), math.log(1000 / 4))
    counts = 1000 * torch.exp(-measured)
    whole = counts[counts > 0.75]
    torch.testing.assert_close(whole, whole.round())
    starved = (counts < 0.75).double()
    torch.testing.assert_close(counts[counts < 0.75], torch.full((int(starved.sum()),), 0.5, dtype=torch.float64))
    assert float(starved.mean()) == pytest.approx(math.exp(-4), rel=0.1)
    counts[counts < 0.75] = 0
    assert float(counts.mean()) == pytest.approx(4, rel=0.01)
    assert float(counts.var()) == pytest.approx(4, rel=0.03)


@pytest.mark.parametrize("electronic", [0.0, 20.0])
def test_the_estimated_deviation_is_that_of_the_data(electronic: float) -> None:
    measured, sigma = measure(TransmissionNoise(1e5, electronic), 2.0)
    assert sigma.shape == measured.shape
    assert float(sigma.mean()) == pytest.approx(float(measured.std()), rel=0.01)


@settings(deadline=None, max_examples=40)
@given(st.floats(1e2, 1e8), st.floats(0, 50), st.floats(0, 8))
def test_the_deviation_is_computed_from_the_measurement_alone(photons: float, electronic: float, value: float) -> None:
    noise = TransmissionNoise(photons, electronic)
    measured, sigma = noise.apply(torch.full((5,), value), torch.Generator().manual_seed(1))
    torch.testing.assert_close(sigma, noise.standard_deviation(measured))
    counts = photons * torch.exp(-measured)
    torch.testing.assert_close(sigma, torch.sqrt(counts + electronic**2) / counts)


@pytest.mark.parametrize("electronic", [0.0, 5.0])
def test_starved_rays_stay_finite(electronic: float) -> None:
    noise = TransmissionNoise(10, electronic)
    measured, sigma = noise.apply(torch.full((1000,), 50.0), torch.Generator().manual_seed(1))
    assert measured.isfinite().all()
    assert sigma.isfinite().all()
    assert (sigma > 0).all()
    assert float(measured.max()) == pytest.approx(math.log(10 / MINIMUM_COUNT))


def test_many_photons_are_no_noise() -> None:
    clean = torch.linspace(0, 5, 100, dtype=torch.float64)
    measured, sigma = TransmissionNoise(1e12).apply(clean, torch.Generator().manual_seed(1))
    torch.testing.assert_close(measured, clean, rtol=0, atol=1e-4)
    assert float(sigma.max()) < 2e-5


@pytest.mark.parametrize("electronic", [0.0, 10.0])
def test_the_seed_decides(electronic: float) -> None:
    noise = TransmissionNoise(1e4, electronic)
    first, same, other = (measure(noise, 1.0, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_neither_type_nor_input_changes() -> None:
    clean = torch.ones(3, 4)
    measured, sigma = TransmissionNoise(1e3).apply(clean, torch.Generator().manual_seed(1))
    assert measured.dtype == sigma.dtype == torch.float32
    assert measured.shape == (3, 4)
    assert (clean == 1).all()


@pytest.mark.parametrize(
    ("photons", "electronic", "message"),
    [
        (0, 0, "photons per cell must be between 1 and 1e12, not 0"),
        (-5, 0, "photons per cell"),
        (math.nan, 0, "photons per cell"),
        (math.inf, 0, "photons per cell"),
        (100, -1, "electronic noise must be at least 0"),
        (100, 100, "below the photons per cell, not 100"),
        (100, math.nan, "electronic noise"),
    ],
)
def test_what_cannot_be_is_refused(photons: float, electronic: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransmissionNoise(photons, electronic)


def test_in_words() -> None:
    assert TransmissionNoise(1e5).describe() == "Poisson noise of 100000 photons per cell"
    assert TransmissionNoise(1e4, 8).describe().endswith("electronic noise of 8 photons")


def test_complex_noise_has_its_variance_in_both_parts() -> None:
    noise = ComplexGaussianNoise(0.7)
    clean = torch.ones(200, 200, dtype=torch.complex64)
    noisy, sigma = noise.apply(clean, torch.Generator().manual_seed(1))
    assert sigma == noise.standard_deviation(noisy) == 0.7
    added = noisy - clean
    assert float(added.abs().square().mean()) == pytest.approx(0.49, rel=0.02)
    assert float(added.real.square().mean()) == pytest.approx(0.245, rel=0.03)
    assert torch.equal(noisy, noise.apply(clean, torch.Generator().manual_seed(1))[0])


def test_complex_noise_over_the_maximum() -> None:
    noise = ComplexGaussianNoise.of_maximum(0.02, 300.0)
    assert noise.sigma == pytest.approx(6.0)
    assert noise.describe() == "complex Gaussian noise of 0.02 of the image's maximum"
    assert ComplexGaussianNoise(6.0).describe() == "complex Gaussian noise of standard deviation 6 per sample"
    assert ComplexGaussianNoise(0.0).standard_deviation(torch.zeros(1)) is None
    for sigma in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="must not be negative"):
            ComplexGaussianNoise(sigma)


def test_of_unknown_noise_nothing_is_known() -> None:
    data = torch.ones(3)
    assert UnknownNoise().apply(data) == (data, None)
    assert UnknownNoise().standard_deviation(data) is None
    assert UnknownNoise().describe() == "unknown noise"
    assert not UnknownNoise().known


@pytest.mark.parametrize(
    "noise",
    [TransmissionNoise(1e4, 8), ComplexGaussianNoise.of_maximum(0.1, 300.0), ComplexGaussianNoise(6.0), UnknownNoise()],
)
def test_plain_values_are_the_model(noise: NoiseModel) -> None:
    assert noise_from_dict(noise.to_dict(), 300.0) == noise


def test_results_state_noise_by_these_names() -> None:
    assert TransmissionNoise(1e4, 8).to_dict() == {"photons": 1e4, "electronic": 8}
    assert ComplexGaussianNoise.of_maximum(0.02, 300.0).to_dict() == {"std_of_maximum": 0.02}
    assert UnknownNoise().to_dict() is None


@pytest.mark.parametrize("values", [{}, {"electronic": 3}, "strong", ["photons"], {"photons": None}, {"sigma": []}, 3])
def test_plain_values_of_no_model_are_refused(values: object) -> None:
    with pytest.raises(ValueError, match="its noise must state 'photons'"):
        noise_from_dict(values)
