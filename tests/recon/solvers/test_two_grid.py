"""The two-grid correction against the true model error of a phantom."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from datasets.sets.phantom import PhantomSet, voxels
from physics.ct.finite_cells import Aperture, readings
from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from physics.mr.cartesian import CartesianMR
from physics.noise import TransmissionNoise
from recon.scan.measurement import Measurement, Protocol
from recon.scan.units import hu_to_attenuation
from recon.solvers.left_over import left_over
from recon.solvers.two_grid import correct_model_error

_VIEWS, _COARSE = 32, 48


@pytest.fixture(scope="module")
def scan():
    """Data of an object on 192² pixels, and those that the operator on 48² makes of its means: a grid that neither
    the correction's own 96² nor the object's is."""
    case = PhantomSet(count=1, seed=5, size=(8, 192, 192), spacing=(4.0, 2.0, 2.0)).cases()[0]
    body = hu_to_attenuation(torch.from_numpy(voxels(case)[0][3:5]).float())
    truth = torch.nn.functional.avg_pool2d(body[:, None], 4)[:, 0]
    operator = CTProjector(
        FanBeam(circular_angles(_VIEWS), pitch=6.0), ImageGrid((_COARSE, _COARSE), (8.0, 8.0)), slices=2
    )
    data = readings(body, operator.geometry, ImageGrid((192, 192), (2.0, 2.0)), Aperture(4))
    protocol = Protocol(geometry=operator.geometry.to_dict())
    return Measurement(data, operator, None, (4.0, 8.0, 8.0), protocol), operator(truth)


@pytest.fixture(scope="module")
def correction(scan):
    return correct_model_error(scan[0], rounds=1)


def _rms(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_the_error_is_the_true_one(scan, correction):
    error = scan[0].y - scan[1]
    assert _correlation(correction.error, error) > 0.8
    assert _rms(correction.error) == pytest.approx(_rms(error), rel=0.15)
    assert correction.report.model_error == pytest.approx(_rms(correction.error), rel=1e-5)
    assert _rms(correction.measurement.y - scan[1]) < 0.5 * _rms(error)


def test_what_is_left_has_the_deviation_that_is_stated(scan, correction):
    left = correction.measurement.y - scan[1]
    assert 0.5 < _rms(left) / correction.report.left < 1.5
    assert 0.5 < _rms(left / correction.measurement.sigma) < 1.5
    assert float(correction.measurement.sigma.min()) > 0


def test_rays_held_out_say_that_it_helps(correction):
    report = correction.report
    assert report.applied
    assert report.held_out_after < 0.8 * report.held_out_before


def test_noise_is_counted_once(scan):
    noisy, sigma = TransmissionNoise(1e5).apply(scan[0].y, torch.Generator().manual_seed(0))
    found = correct_model_error(replace(scan[0], y=noisy, sigma=sigma), rounds=0)
    assert (found.measurement.sigma >= sigma).all()
    assert found.report.noise == pytest.approx(_rms(sigma), rel=1e-5)
    assert _rms((found.measurement.y - scan[1]) / found.measurement.sigma) == pytest.approx(1, abs=0.3)


def test_nothing_is_taken_off_data_that_the_operator_made(scan):
    """The inverse crime has no model error: the correction finds a small one, and rays held out refuse or bound it."""
    ideal = replace(scan[0], y=scan[1])
    found = correct_model_error(ideal, rounds=0)
    assert _rms(found.measurement.y - scan[1]) < _rms(scan[0].y - scan[1])


def test_slabs_are_joined(scan, monkeypatch):
    monkeypatch.setattr("recon.solvers.two_grid_problem._SLAB_VOXELS", 1)
    found = correct_model_error(scan[0], rounds=0)
    assert found.measurement.y.shape == scan[0].y.shape
    assert found.fine.shape == (2, 2 * _COARSE, 2 * _COARSE)


def test_empty_data_stay_empty(scan):
    empty = replace(scan[0], y=torch.zeros_like(scan[1]))
    found = correct_model_error(empty, rounds=0)
    assert torch.equal(found.measurement.y, empty.y)
    assert torch.isfinite(found.measurement.sigma).all()


def test_other_operators_are_refused():
    mask = torch.ones(8, 8, dtype=torch.bool)
    measurement = Measurement(torch.zeros(1, 1, 8, 8, dtype=torch.complex64), CartesianMR(mask))
    with pytest.raises(ValueError, match="CT geometry"):
        correct_model_error(measurement)


def test_what_is_left_is_bounded_by_the_error_itself():
    error = torch.randn(1, 4, 60, generator=torch.Generator().manual_seed(0))
    assert _rms(left_over(error, 100.0)) == pytest.approx(_rms(error), rel=1e-3)
    assert _rms(left_over(error, 0.0)) == pytest.approx(0.2 * _rms(error), rel=1e-3)


def test_pixels_as_narrow_as_cells_are_not_refined(scan) -> None:
    measurement = scan[0]
    stated = {**(measurement.protocol.geometry or {})}
    stated["pitch"] = 2.0 * stated["pitch"]
    wide = replace(measurement, protocol=replace(measurement.protocol, geometry=stated))
    found = correct_model_error(wide, rounds=0)
    assert not found.report.estimated
    assert torch.equal(found.measurement.y, measurement.y)
    assert found.report.unexplained == 0, "of data without a known noise"
