"""Intensity scales: fixed points, inverses, and what is clipped."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.scan.units import (
    CT_WINDOW,
    MU_WATER,
    SOFT_TISSUE_WINDOW,
    attenuation_to_hu,
    hu_to_attenuation,
    hu_to_network,
    network_to_hu,
)

DOUBLE = torch.float64


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=DOUBLE)


def test_constants() -> None:
    assert (MU_WATER, CT_WINDOW, SOFT_TISSUE_WINDOW) == (0.0192, (-1000.0, 1000.0), (-160.0, 240.0))


@pytest.mark.parametrize(("hu", "attenuation"), [(0.0, 0.0192), (-1000.0, 0.0), (1000.0, 0.0384), (-2048.0, 0.0)])
def test_attenuation_of_known_matter(hu: float, attenuation: float) -> None:
    assert float(hu_to_attenuation(scalar(hu))) == pytest.approx(attenuation, abs=1e-15)


@pytest.mark.parametrize(("hu", "network"), [(-1000.0, -1), (0.0, 0), (1000.0, 1), (3000.0, 1), (-2048.0, -1)])
def test_network_range(hu: float, network: float) -> None:
    assert float(hu_to_network(scalar(hu))) == pytest.approx(network)


@settings(deadline=None)
@given(st.floats(-1000, 4000))
def test_attenuation_and_back(hu: float) -> None:
    assert float(attenuation_to_hu(hu_to_attenuation(scalar(hu)))) == pytest.approx(hu, abs=1e-9)


@settings(deadline=None)
@given(st.floats(-5000, 5000))
def test_the_network_range_and_back_is_the_window(hu: float) -> None:
    network = hu_to_network(scalar(hu))
    assert -1 <= float(network) <= 1
    assert float(network_to_hu(network)) == pytest.approx(min(max(hu, -1000), 1000), abs=1e-9)


def test_what_is_not_clipped_stays_linear() -> None:
    """Network images outside [−1, 1] and negative attenuation map on: only the way in clips."""
    assert float(network_to_hu(scalar(1.5))) == pytest.approx(1500)
    assert float(attenuation_to_hu(scalar(-0.0192))) == pytest.approx(-2000)


def test_volumes_keep_their_type() -> None:
    image = torch.zeros(2, 3, 4)
    for convert in (hu_to_attenuation, attenuation_to_hu, hu_to_network, network_to_hu):
        assert convert(image).dtype == torch.float32
        assert convert(image).shape == (2, 3, 4)
    assert not image.any()
