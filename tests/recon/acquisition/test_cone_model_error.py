"""The model error of a cone beam's voxels: counted in the deviation of the data, never taken off."""

from __future__ import annotations

import pytest
import torch
from cone_geometries import cone

from physics.ct.cone.ellipsoids import Ellipsoid, ellipsoid_volume
from physics.ct.cone.grid import VolumeGrid
from physics.noise import TransmissionNoise
from recon.acquisition import cone_model_error
from recon.io.sinogram import centred_affine
from recon.run.measure import measure_ct
from recon.scan.measurement import ProgressEvent
from recon.scan.volume import Volume

GRID = VolumeGrid((12, 16, 16), (2.0, 2.0, 2.0))
BODY = ellipsoid_volume([Ellipsoid((0.0, 0.0, 0.0), (11.0, 9.0, 10.0), 0.0192)], GRID)
VOLUME = Volume(1000 * (BODY / 0.0192 - 1), centred_affine(GRID.shape, GRID.spacing), "CT")
SCANNER = cone(30)


def test_the_deviation_is_about_that_of_what_the_operator_does_not_explain() -> None:
    told: list[ProgressEvent] = []
    measurement = measure_ct(VOLUME, SCANNER, progress=told.append).measurement
    error = float((measurement.operator(BODY) - measurement.y).square().mean().sqrt())
    assert 0.4 * error < measurement.noise_level < 2.5 * error
    assert measurement.noise_variance is None
    assert not measurement.noisy
    assert told[-1].done == told[-1].total
    (notice,) = measurement.protocol.notices
    assert notice.startswith("the model error of the voxels was left in the data and counts in their deviation")


def test_noise_is_told_apart() -> None:
    noise = TransmissionNoise(3e3)
    left = measure_ct(VOLUME, SCANNER, noise, model_error="leave").measurement
    counted = measure_ct(VOLUME, SCANNER, noise).measurement
    assert torch.equal(counted.y, left.y)
    assert left.protocol.notices == ()
    assert counted.noise_variance == pytest.approx(left.noise_level**2, rel=1e-3)
    assert counted.noise_level > left.noise_level


def test_of_what_is_too_large_nothing_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cone_model_error, "_MOST_WORK", 1)
    measurement = measure_ct(VOLUME, SCANNER).measurement
    assert measurement.sigma is None
    assert measurement.protocol.notices == ("the model error of the voxels was left in the data and not estimated",)


def test_dead_cells_are_not_held_out() -> None:
    from recon.acquisition.continuous import Scanner

    measurement = measure_ct(VOLUME, SCANNER, scanner=Scanner(dead_cells=0.1)).measurement
    assert 0 < measurement.noise_level < 0.1
