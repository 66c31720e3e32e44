"""Standard deviations that hold what they claim: fitting, applying, counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.diffusion.calibration import LEVELS, Calibration, Calibrations, coverage, fit


def drawn(factor: float, floor: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian errors whose standard deviation is known from a spread."""
    random = np.random.default_rng(0)
    spreads = random.gamma(2.0, 0.02, count)
    return random.normal(0, np.sqrt((factor * spreads) ** 2 + floor**2)), spreads


@pytest.mark.parametrize(("factor", "floor"), [(1.0, 0.0), (3.0, 0.0), (0.5, 0.05), (2.0, 0.1)])
def test_the_fit_holds_what_its_intervals_claim(factor: float, floor: float) -> None:
    errors, spreads = drawn(factor, floor)
    deviation = fit(errors, spreads).apply(torch.from_numpy(spreads), 1.0).numpy()
    truth = np.ones((1, 1, len(errors)))
    held = coverage(truth, truth + errors, deviation[None, None], "MR")
    assert set(held) == set(LEVELS)
    for level, share in held.items():
        assert share == pytest.approx(level, abs=0.02)


def test_units_and_cards() -> None:
    calibration = Calibration(2.0, 0.1)
    spread = torch.tensor([0.0, 3.0])
    torch.testing.assert_close(calibration.apply(spread, 10.0), torch.tensor([1.0, 37.0**0.5]))
    assert Calibration.from_dict(calibration.to_dict()) == calibration
    for values in ({}, {"factor": "a", "floor": 0}, {"factor": -1, "floor": 0}, {"factor": 1, "floor": float("nan")}):
        with pytest.raises(ValueError, match="no calibration"):
            Calibration.from_dict(values)


def test_each_kind_of_scan_has_its_own() -> None:
    weak, strong = Calibration(1.0, 0.2), Calibration(3.0, 0.1)
    both = Calibrations({"poisson": weak, "gauss1d": strong})
    assert both.of("poisson") == weak
    assert both.of("random") == strong, "of an unknown kind the most careful"
    assert Calibrations.from_dict(both.to_dict()) == both
    for values in (None, {}, {"factor": 1.0, "floor": 0.0}, {"poisson": {"factor": 1.0}}):
        with pytest.raises(ValueError, match="no calibration"):
            Calibrations.from_dict(values)


def test_only_the_patient_counts_and_ct_within_its_window() -> None:
    truth = np.full((2, 8, 8), -1000.0, np.float32)
    truth[:, 2:6, 2:6] = 40
    truth[0, 3, 3] = 3000
    mean = truth.copy()
    mean[0, 3, 3] = 1200  # both are the window's end
    mean[1, 3, 3] += 100
    mean[:, 0, 0] += 500
    held = coverage(truth, mean, np.full_like(truth, 10.0), "CT", [0.9])
    assert held[0.9] == pytest.approx(31 / 32)
    assert np.isnan(coverage(np.full_like(truth, -1000), mean, mean, "CT", [0.9])[0.9])


def test_nothing_to_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="as many of both"):
        fit(np.zeros(0), np.zeros(0))
