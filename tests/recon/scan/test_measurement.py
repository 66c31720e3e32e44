"""Slices and noise of a measurement."""

from __future__ import annotations

import pytest
import torch
from operators import Coupled, Weighting

from physics.mr.cartesian import CartesianMR
from recon.scan.measurement import Measurement

STACK = Weighting(torch.ones(3, 4, 5))


@pytest.mark.parametrize("sigma", [0.5, torch.tensor(0.5), torch.full((4, 5), 0.5), torch.full((3, 1, 1), 0.5)])
def test_slices_take_data_operator_and_noise_along(sigma: torch.Tensor | float) -> None:
    measurement = Measurement(torch.rand(3, 4, 5), STACK, sigma, (3.0, 2.0, 1.0))
    part = measurement.slices(slice(1, 3))
    assert part.operator.domain == (2, 4, 5)
    assert torch.equal(part.y, measurement.y[1:])
    assert (part.spacing, part.noise_level) == (measurement.spacing, pytest.approx(0.5))
    assert part.noise_power == pytest.approx(0.25 * 2 * 4 * 5)


def test_the_noise_of_each_slice_goes_with_it() -> None:
    sigma = torch.arange(1.0, 4).reshape(3, 1, 1).expand(3, 4, 5)
    measurement = Measurement(torch.zeros(3, 4, 5), STACK, sigma)
    assert measurement.noise_power == pytest.approx(20 * (1 + 4 + 9))
    assert measurement.slices(slice(2, 3)).noise_level == pytest.approx(3)


def test_only_what_was_sampled_has_noise() -> None:
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[:, 2] = True
    y = torch.zeros(3, 2, 4, 5, dtype=torch.complex64)
    operator = CartesianMR(mask, torch.ones_like(y))
    for sigma in (0.5, torch.full((3, 2, 4, 5), 0.5)):
        measurement = Measurement(y, operator, sigma)
        assert measurement.noise_power == pytest.approx(0.25 * 3 * 2 * 4)
        assert measurement.slices(slice(0, 1)).noise_power == pytest.approx(0.25 * 2 * 4)


def test_without_noise_both_are_zero() -> None:
    measurement = Measurement(torch.zeros(3, 4, 5), STACK)
    assert (measurement.noise_level, measurement.noise_power) == (0.0, 0.0)


def test_coupled_slices_stay_together() -> None:
    with pytest.raises(ValueError, match="couples its slices"):
        Measurement(torch.zeros(6, 4, 5), Coupled((3, 4, 5))).slices(slice(0, 1))
