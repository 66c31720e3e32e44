"""The distribution of the residual against the deviation of the data."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from physics.mr.cartesian import CartesianMR
from recon.run.residual import EDGES, Residual, notice_of, residual_of
from recon.scan.measurement import Measurement


@pytest.fixture
def measurement() -> Measurement:
    """Half of the k-space of an empty image: noise of deviation 0.3 where it is sampled."""
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:, ::2] = True
    operator = CartesianMR(mask, slices=4)
    noise = torch.randn(4, 1, 32, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)) * 0.3
    return Measurement(noise * mask, operator, 0.3)


def test_the_truth_leaves_residuals_of_one_deviation(measurement: Measurement) -> None:
    found = residual_of(measurement, torch.zeros(4, 32, 32))
    assert found.relative == pytest.approx(1)
    assert found.deviations == pytest.approx(1, rel=0.05)
    assert sum(found.counts) == 2 * 4 * 32 * 16  # sampled places alone, real and imaginary parts
    within = sum(count for count, edge in zip(found.counts, EDGES, strict=False) if -1 <= edge < 1)
    assert within / sum(found.counts) == pytest.approx(0.683, abs=0.03)
    assert notice_of(found) == ()


def test_an_unknown_deviation_has_no_distribution(measurement: Measurement) -> None:
    found = residual_of(replace(measurement, sigma=None), torch.zeros(4, 32, 32))
    assert (found.deviations, found.counts) == (None, ())
    assert notice_of(found) == ()


@pytest.mark.parametrize(("deviations", "words"), [(5.0, "worse than their noise asks"), (0.1, "noise was fitted")])
def test_far_residuals_are_one_line(deviations: float, words: str) -> None:
    (line,) = notice_of(Residual(0.1, deviations, (1,)))
    assert words in line
    assert "\n" not in line
    assert notice_of(Residual(0.1, deviations, (1,)), noisy=False) == ()
