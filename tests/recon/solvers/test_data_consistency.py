"""The proximal step of the data term: known answers, the discrepancy principle, phases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physics.ct.geometry import FanBeam, circular_angles
from physics.mr.birdcage import birdcage_maps
from physics.mr.cartesian import CartesianMR, fft2c, ifft2c
from physics.mr.masks import make_mask
from physics.mr.phase import smooth_phase, smoothed_phase
from physics.noise import TransmissionNoise
from recon.acquisition.ct import simulate_ct
from recon.acquisition.mr import simulate_mr
from recon.methods import get_method, parse_options
from recon.scan.measurement import Measurement, Protocol, RunContext
from recon.scan.units import hu_to_attenuation
from recon.scan.volume import Volume
from recon.solvers import data_consistency
from recon.solvers.data_consistency import (
    NOISE_FREE_WEIGHT,
    PHASE_TRUST,
    agreeing,
    enforce_data,
    error_scale,
    with_calibration_phase,
)


def disc(modality: str = "CT") -> Volume:
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (3, 48, 40)), indexing="ij")
    inside = x**2 + y**2 + 0.1 * z**2 < 0.6
    levels = {"CT": (50 + 100 * np.sin(5 * x), -1000), "MR": (700 + 200 * np.sin(5 * x), 5)}[modality]
    return Volume(torch.from_numpy(np.where(inside, *levels)).float(), np.diag([6.0, 6.0, 5.0, 1.0]), modality)


GEOMETRY = FanBeam(circular_angles(30), pitch=2.0)


def test_the_step_solves_the_normal_equations():
    """AᴴA x + λ x = Aᴴy + λ x̂, against a dense solution."""
    measurement = simulate_ct(disc(), FanBeam(circular_angles(4), pitch=8.0))
    estimate = torch.rand(3, 48, 40) * 0.02
    weight, square = 0.05, measurement.operator.norm_bound**2
    image, used = enforce_data(measurement, estimate, weight, iterations=200)
    assert used == weight
    columns = torch.eye(48 * 40).reshape(-1, 1, 48, 40)
    dense = measurement.operator.slices(slice(0, 1))(columns).reshape(48 * 40, -1).T.double()
    left = dense.T @ dense + weight * square * torch.eye(48 * 40, dtype=torch.float64)
    right = dense.T @ measurement.y[0].flatten().double() + weight * square * estimate[0].flatten().double()
    assert torch.allclose(image[0].flatten().double(), torch.linalg.solve(left, right), atol=2e-5)


def test_the_step_counts_distances_in_units_of_the_expected_error():
    """AᵀA x + λ s⁻² x = Aᵀy + λ s⁻² x̂, against a dense solution."""
    measurement = simulate_ct(disc(), FanBeam(circular_angles(4), pitch=8.0))
    estimate, scale = torch.rand(3, 48, 40) * 0.02, 0.5 + torch.rand(3, 48, 40)
    weight, square = 0.05, measurement.operator.norm_bound**2
    image, _ = enforce_data(measurement, estimate, weight, iterations=300, scale=scale)
    columns = torch.eye(48 * 40).reshape(-1, 1, 48, 40)
    dense = measurement.operator.slices(slice(0, 1))(columns).reshape(48 * 40, -1).T.double()
    penalty = weight * square / scale[0].flatten().double().square()
    left = dense.T @ dense + penalty.diag()
    right = dense.T @ measurement.y[0].flatten().double() + penalty * estimate[0].flatten().double()
    assert torch.allclose(image[0].flatten().double(), torch.linalg.solve(left, right), atol=2e-5)


def test_errors_are_expected_at_edges():
    image = disc().data
    scale = error_scale(image)
    torch.testing.assert_close(scale.square().mean((1, 2)), torch.ones(3))
    edge = image.diff(dim=2).abs() > 500
    assert float(scale[:, :, 1:][edge].min()) > 1.5 * float(scale[:, :4, :4].max())
    torch.testing.assert_close(error_scale(torch.full((2, 8, 8), 7.0)), torch.ones(2, 8, 8))
    torch.testing.assert_close(error_scale(image * torch.polar(torch.ones(1), torch.ones(1))), scale)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_what_is_wrong_at_edges_is_found_there(modality):
    """A blurred image: its error lies at its edges, and data say more of it once they know."""
    volume = disc(modality)
    measurement = simulate_ct(volume, GEOMETRY) if modality == "CT" else simulate_mr(volume, "gauss1d", 4.0)
    truth = hu_to_attenuation(volume.data) if modality == "CT" else volume.data
    blurred = torch.nn.functional.avg_pool2d(truth[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    if modality == "MR":
        blurred = blurred + 0j
    even, _ = enforce_data(measurement, blurred)
    found, _ = enforce_data(measurement, blurred, scale=error_scale(blurred))
    assert float((found - truth).norm()) < 0.95 * float((even - truth).norm())


def test_one_coil_has_a_closed_form():
    measurement = simulate_mr(disc("MR"), "equispaced", 4.0)
    estimate = torch.polar(disc("MR").data * 0.9, torch.full((3, 48, 40), 0.1))
    weight = 0.5
    image, _ = enforce_data(measurement, estimate, weight)
    kspace = fft2c(estimate)
    mask = measurement.operator.mask
    mixed = torch.where(mask, (measurement.y[:, 0] + weight * kspace) / (1 + weight), kspace)
    assert torch.allclose(fft2c(image), mixed, atol=1e-1 * weight), "out of some thousands"


def test_with_a_phase_the_step_minimises_both_penalties():
    """‖Ax − y‖² + λ‖a − â‖² + λ'‖b‖² with x = φ (a + i b), against a dense solution over real numbers."""
    truth = Volume(torch.rand(1, 6, 8) * 100, np.eye(4), "MR")
    measurement = simulate_mr(truth, make_mask("gauss1d", (6, 8), 2.0, 2), phase=torch.rand(1, 6, 8))
    phase = torch.polar(torch.ones(1, 6, 8), torch.rand(1, 6, 8))
    estimate, weight = torch.polar(torch.rand(1, 6, 8) * 100, torch.rand(1, 6, 8)), 0.05
    image, _ = enforce_data(measurement, estimate, weight, iterations=200, phase=phase)
    units = torch.eye(48).reshape(48, 1, 6, 8)
    columns = [
        torch.stack([measurement.operator(phase * unit * one).flatten() for unit in units], 1) for one in (1, 1j)
    ]
    dense = torch.view_as_real(torch.cat(columns, 1)).permute(0, 2, 1).reshape(-1, 96).double()
    data = torch.view_as_real(measurement.y.flatten()).flatten().double()
    across = weight * (1 + PHASE_TRUST) / (1 - PHASE_TRUST)
    penalty = torch.cat([torch.full((48,), weight), torch.full((48,), across)]).double()
    wanted = torch.cat([(phase.conj() * estimate).real.flatten(), torch.zeros(48)]).double()
    solution = torch.linalg.solve(dense.T @ dense + penalty.diag(), dense.T @ data + penalty * wanted)
    found = (phase.conj() * image).flatten()
    assert torch.allclose(torch.cat([found.real, found.imag]).double(), solution, atol=2e-3)


@pytest.mark.parametrize("kind", ["gauss1d", "poisson"])
def test_a_smooth_phase_makes_a_sample_tell_of_its_mirror_image(kind):
    volume = disc("MR")
    phase = smooth_phase(tuple(volume.data.shape), 1.0, torch.Generator().manual_seed(0))
    measurement = simulate_mr(volume, make_mask(kind, (48, 40), 3.0, 8), phase=phase)
    start = ifft2c(measurement.y[:, 0])
    plain, _ = enforce_data(measurement, start)
    found = agreeing(measurement, start)
    errors = [float((image.abs() - volume.data).norm() / volume.data.norm()) for image in (plain, found)]
    assert errors[1] < 0.95 * errors[0]
    assert float((measurement.operator(found) - measurement.y).norm() / measurement.y.norm()) < 0.05


def test_the_smoothed_phase_is_that_of_the_image_without_its_noise():
    volume = disc("MR")
    phase = smooth_phase(tuple(volume.data.shape), 1.0, torch.Generator().manual_seed(1))
    noise = 100 * torch.randn(volume.data.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    image = torch.polar(volume.data, phase) + noise
    inside = volume.data > 300
    errors = [
        (each * torch.polar(torch.ones_like(phase), -phase)).angle()[inside] for each in (image, smoothed_phase(image))
    ]
    assert float(errors[1].square().mean()) < 0.3 * float(errors[0].square().mean())
    torch.testing.assert_close(smoothed_phase(image).abs(), torch.ones_like(phase))
    assert torch.equal(smoothed_phase(torch.zeros(1, 4, 4, dtype=torch.complex64)), torch.ones(1, 4, 4) + 0j)


def test_without_noise_a_small_fixed_weight_is_taken_and_the_error_falls():
    truth = hu_to_attenuation(disc().data)
    measurement = simulate_ct(disc(), GEOMETRY)
    estimate = truth + 0.002 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    image, weight = enforce_data(measurement, estimate)
    assert weight == NOISE_FREE_WEIGHT
    assert float((image - truth).norm()) < 0.8 * float((estimate - truth).norm())


def noise_power(measurement: Measurement) -> float:
    assert isinstance(measurement.sigma, torch.Tensor)
    return float(measurement.sigma.square().sum())


@pytest.mark.parametrize("photons", [1e4, 1e5])
def test_with_noise_the_residual_comes_down_to_what_the_noise_explains_and_not_below(photons):
    truth = hu_to_attenuation(disc().data)
    measurement = simulate_ct(disc(), GEOMETRY, None, TransmissionNoise(photons), seed=1)
    estimate = truth * 0.9
    image, weight = enforce_data(measurement, estimate)
    residual = float((measurement.operator(image) - measurement.y).square().sum())
    assert residual <= noise_power(measurement)
    looser, _ = enforce_data(measurement, estimate, weight * 10**0.5)
    assert float((measurement.operator(looser) - measurement.y).square().sum()) > noise_power(measurement)


@pytest.mark.parametrize("views", [6, 30])
def test_the_weight_is_the_largest_whose_step_leaves_no_more_than_the_noise(views):
    """Of all weights that are tried, by the steps themselves."""
    measurement = simulate_ct(disc(), FanBeam(circular_angles(views), pitch=2.0), None, TransmissionNoise(1e4), seed=1)
    estimate = hu_to_attenuation(disc().data) * 0.9
    scale = error_scale(estimate)
    _, found = enforce_data(measurement, estimate, scale=scale)
    left = {
        weight: measurement.operator(enforce_data(measurement, estimate, weight, scale=scale)[0]) - measurement.y
        for weight in data_consistency._WEIGHTS
    }
    allowed = noise_power(measurement)
    assert found == max(weight for weight, error in left.items() if float(error.square().sum()) <= allowed)


def test_the_weight_takes_no_product_more_than_one_step(monkeypatch):
    measurement = simulate_ct(disc(), GEOMETRY, None, TransmissionNoise(1e4), seed=1)
    estimate, calls = hu_to_attenuation(disc().data) * 0.9, 0
    square = measurement.operator.norm_bound**2
    forward = type(measurement.operator)._forward

    def counted(operator, x):
        nonlocal calls
        calls += 1
        return forward(operator, x)

    monkeypatch.setattr(type(measurement.operator), "_forward", counted)
    data_consistency.discrepancy_weight(measurement, estimate, square, 20)
    assert calls <= 21


def test_an_estimate_that_the_noise_explains_is_left_alone_almost():
    truth = hu_to_attenuation(disc().data)
    measurement = simulate_ct(disc(), GEOMETRY, None, TransmissionNoise(1e4), seed=1)
    image, weight = enforce_data(measurement, truth)
    assert weight >= 0.1
    assert float((image - truth).norm()) < 0.05 * float(truth.norm())


def test_the_calibration_region_shows_a_smooth_phase():
    volume = disc("MR")
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (3, 48, 40)), indexing="ij")
    phase = 0.8 * x - 0.5 * y + 0.2 * z
    measurement = simulate_mr(volume, make_mask("poisson", (48, 40), 4.0, 12), phase=phase)
    image = with_calibration_phase(measurement, volume.data)
    inside = volume.data > 100
    error = torch.angle(image * torch.polar(torch.ones_like(phase), -phase))[inside]
    assert float(error.abs().mean()) < 0.1
    assert torch.allclose(image.abs(), volume.data, rtol=1e-4)


@pytest.mark.parametrize(("modality", "method"), [("CT", "fbp+dc"), ("MR", "zero-filled+dc"), ("MR", "tv+dc")])
def test_any_method_takes_a_data_step(modality, method):
    volume = disc(modality)
    measurement = simulate_ct(volume, GEOMETRY) if modality == "CT" else simulate_mr(volume, "equispaced", 4.0)
    chosen = get_method(modality, method)
    answer = chosen.run(measurement, parse_options(chosen, {"dc-iterations": "30"}), RunContext())
    y = measurement.y
    assert float((measurement.operator(answer.mean.to(y.dtype)) - y).norm() / y.norm()) < 0.05


def test_what_no_image_explains_is_not_fitted_by_noise():
    """A second signal at each place, as where an image wraps around its field of view, which no coil map explains."""
    generator = torch.Generator().manual_seed(0)
    maps = birdcage_maps(8, (48, 40)).expand(3, -1, -1, -1)
    mask = make_mask("poisson", (48, 40), 4, 10, seed=0).array
    operator = CartesianMR(mask, maps, 3)
    truth = disc("MR").data.to(torch.complex64)
    wrapped = 0.1 * truth.roll(20, 2)[:, None] * maps.roll(20, -1)
    noise = 5 * torch.randn(operator.range, dtype=torch.complex64, generator=generator)
    data = operator(truth) + mask * (fft2c(wrapped) + noise)
    step = {
        sigma: agreeing(Measurement(data, operator, sigma, (1.0, 1.0, 1.0), Protocol()), truth) for sigma in (5.0, 60.0)
    }
    error = {sigma: float((image - truth).norm() / truth.norm()) for sigma, image in step.items()}
    assert error[5.0] < 1.5 * error[60.0], "as if the noise were as large as all that is not explained"
