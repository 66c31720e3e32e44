"""A body ten times as dense as water, or a tenth, is told in a line, and nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam, circular_angles
from physics.ct.projector import CTProjector
from recon.io.projections.unit_doubt import doubt_of_unit, mean_attenuation
from recon.io.sinogram import Sinogram, centred_affine, read_sinogram, write_sinogram

GRID = ImageGrid((48, 48), (5.0, 5.0))
FAN = FanBeam(circular_angles(20), 8.0, 72, 3.0, source_isocentre=500, source_detector=900)
QUARTER = ParallelBeam(tuple(np.radians(np.arange(0, 90, 5.0))), 5.0, 72, -4.0)


def body(attenuation: float) -> torch.Tensor:
    """(1, y, x): an ellipse beside the middle with half axes of 85 and 55 mm."""
    place = (torch.arange(48) - 23.5) * 5.0
    inside = ((place[:, None] - 10) / 55) ** 2 + ((place + 15) / 85) ** 2 <= 1
    return (inside * attenuation)[None].float()


def projections(geometry: Geometry, attenuation: float) -> np.ndarray:
    found: np.ndarray = CTProjector(geometry, GRID, slices=1)(body(attenuation)).numpy()
    return found


@pytest.mark.parametrize("geometry", [FAN, QUARTER], ids=["fan", "quarter turn"])
def test_the_attenuation_of_an_ellipse_is_found(geometry: Geometry) -> None:
    assert mean_attenuation(projections(geometry, 0.0192), geometry) == pytest.approx(0.0192, rel=0.15)


@pytest.mark.parametrize(
    ("attenuation", "words"), [(0.192, "ten times as much as water"), (0.00192, "a tenth of what water does")]
)
def test_a_factor_of_ten_is_told(attenuation: float, words: str) -> None:
    data = projections(FAN, attenuation)
    (doubt,) = doubt_of_unit(data, np.ones_like(data, bool), FAN)
    assert words in doubt
    assert "\n" not in doubt


@pytest.mark.parametrize("attenuation", [0.0, 0.006, 0.0192, 0.05, 0.5])
def test_other_bodies_are_not_doubted(attenuation: float) -> None:
    data = projections(FAN, attenuation)
    assert doubt_of_unit(data, np.ones_like(data, bool), FAN) == ()


def test_lengths_in_cm_that_are_stated_as_mm() -> None:
    data = projections(FAN, 0.0192)
    small = replace(FAN, pitch=0.8, offset=0.3, source_isocentre=50.0, source_detector=90.0)
    (doubt,) = doubt_of_unit(data, np.ones_like(data, bool), small)
    assert "cm were taken for mm" in doubt


@pytest.mark.parametrize("simulated", [True, False])
def test_a_measured_file_is_doubted_and_read_as_it_is(tmp_path: Path, simulated: bool) -> None:
    data = torch.from_numpy(projections(FAN, 0.192))
    affine = centred_affine((1, 48, 48), (5.0, 5.0, 5.0))
    write_sinogram(tmp_path / "scan.h5", Sinogram(data, FAN.to_dict(), (1, 48, 48), affine, {"simulated": simulated}))
    found = read_sinogram(tmp_path / "scan.h5")
    assert any("ten times as much as water" in notice for notice in found.notices) == (not simulated)
    assert torch.equal(found.data, data)
