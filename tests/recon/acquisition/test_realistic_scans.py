"""Scans that networks are trained on are those that they meet: of continuous objects, with noise, phase and coils."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from physics.ct.geometry import FanBeam, circular_angles
from physics.mr.cartesian import CartesianMR
from physics.noise import TransmissionNoise
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.drawn_model_error import LEFT_SHARES, LIKENESS, drawn_remainder, simulate_with_drawn_error
from recon.acquisition.mr_acquisition import MRAcquisition, realistic_mr
from recon.learned.task import Task, task_from_dict
from recon.run.measure import measure_ct
from recon.scan.measurement import Protocol
from recon.scan.units import hu_to_attenuation
from recon.scan.volume import Volume

GEOMETRY = FanBeam(circular_angles(24), pitch=4.0)


@pytest.fixture(scope="module")
def trunk() -> Volume:
    """Two slices of a textured ellipse with a rod of bone and a hole of air."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    inside = (x / 0.8).square() + (y / 0.6).square() < 1
    values = torch.where(inside, 20.0, -1000.0)
    values[torch.hypot(x - 0.3, y) < 0.12] = 900
    values[torch.hypot(x + 0.3, y - 0.1) < 0.1] = -900
    values += inside * 40 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    return Volume(torch.stack([values, values.roll(2, 1)]), np.diag([6.0, 6.0, 4.0, 1.0]), "CT")


@pytest.fixture(scope="module")
def brain() -> Volume:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    head = (torch.hypot(x, y / 0.9) < 0.8).float()
    values = head * (0.6 + 0.3 * torch.sin(7 * x) * torch.cos(5 * y))
    return Volume(torch.stack([values, values.flip(1)]), np.diag([3.0, 3.0, 4.0, 1.0]), "MR")


def rms(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


def test_a_continuous_scan_for_training_is_the_one_that_is_reconstructed(trunk: Volume) -> None:
    seen = CTAcquisition(GEOMETRY, simulation="continuous").simulate(trunk, 5)
    met = measure_ct(trunk, GEOMETRY, seed=5).measurement
    assert torch.equal(seen.y, met.y)
    assert torch.equal(torch.as_tensor(seen.sigma), torch.as_tensor(met.sigma))
    assert seen.protocol.simulation == met.protocol.simulation == "continuous"
    assert seen.protocol.model_error == met.protocol.model_error
    assert seen.protocol.model_error is not None
    assert 1e-4 < seen.protocol.model_error < 0.1


def test_a_drawn_remainder_is_of_the_order_of_what_the_correction_leaves(trunk: Volume) -> None:
    truth = hu_to_attenuation(trunk.data.clone())
    real, drawn = (CTAcquisition(GEOMETRY, simulation=each).simulate(trunk, 5) for each in ("continuous", "drawn"))
    left, made = (rms(each.y - each.operator(truth)) for each in (real, drawn))
    assert left / 4 < made < 4 * left
    assert drawn.protocol.model_error == pytest.approx(real.protocol.model_error, rel=0.5)
    assert 0.25 < drawn.noise_level / real.noise_level < 4
    assert drawn.protocol.simulation == "drawn"
    assert not drawn.noisy


def test_a_drawn_remainder_has_the_size_and_the_likeness_that_are_stated() -> None:
    random = torch.Generator().manual_seed(0)
    error = torch.randn(2, 60, 200, generator=random) * torch.linspace(0.1, 2, 200)
    remainder, deviation = drawn_remainder(error, torch.Generator().manual_seed(1))
    assert LEFT_SHARES[0] * 0.9 < rms(remainder) / rms(error) < LEFT_SHARES[1] * 1.1
    alike = float((remainder * error).mean()) / rms(remainder) / rms(error)
    assert alike == pytest.approx(LIKENESS, abs=0.05)
    assert deviation[..., 150:].mean() > 2 * deviation[..., :50].mean(), "it lies where the error lies"
    assert torch.equal(remainder, drawn_remainder(error, torch.Generator().manual_seed(1))[0])


def test_noise_comes_on_top_of_a_drawn_remainder(trunk: Volume) -> None:
    plain, noisy = (simulate_with_drawn_error(trunk, GEOMETRY, each, 3) for each in (None, TransmissionNoise(1e4)))
    assert plain.noise_variance is None
    assert noisy.noisy
    assert noisy.protocol.noise == TransmissionNoise(1e4).to_dict()
    expected = TransmissionNoise(1e4).standard_deviation(plain.y)
    assert noisy.noise_variance == pytest.approx(float(torch.as_tensor(expected).square().mean()), rel=0.05)


def test_cards_state_how_scans_were_simulated_where_it_was_not_ideal() -> None:
    for family, method in (
        (CTAcquisition(GEOMETRY, (10, 24), (1e4, 1e6), (0.002, 0.004), "drawn"), "fbp"),
        (realistic_mr(("poisson",), (4.0, 8.0)), "zero-filled"),
    ):
        task = Task(family, (method,))
        assert task.to_dict()["simulation"] in ("drawn", "continuous")
        assert task_from_dict(task.to_dict()) == task
    for old in (CTAcquisition(GEOMETRY), MRAcquisition()):
        assert not {"simulation", "model_error", "coils"} & set(old.to_dict())


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(ValueError, match="simulation magic; there are ideal, continuous, drawn"):
        CTAcquisition(GEOMETRY, simulation="magic")
    with pytest.raises(ValueError, match="simulation drawn; there are ideal, continuous"):
        MRAcquisition(simulation="drawn")
    with pytest.raises(ValueError, match="2 to 8 coils are simulated of continuous objects only"):
        MRAcquisition(coils=(2, 8))
    with pytest.raises(ValueError, match="lower number first, not 8 to 2"):
        MRAcquisition(simulation="continuous", coils=(8, 2))


def test_realistic_kspace_has_phase_noise_and_one_or_more_coils(brain: Volume) -> None:
    family = realistic_mr(("poisson",), (2.0, 3.0))
    scans = [family.simulate_with_image(brain, seed) for seed in range(8)]
    assert {scan.y.shape[1] for scan, _ in scans} > {1}, "one coil and more"
    assert all(scan.protocol.simulation == "continuous" for scan, _ in scans)
    assert len({scan.noise_level for scan, _ in scans}) == len(scans)
    again, _ = family.simulate_with_image(brain, 0)
    assert torch.equal(again.y, scans[0][0].y)


def test_the_image_to_learn_has_the_magnitude_of_the_volume_and_the_phase_of_the_scan(brain: Volume) -> None:
    family = replace(realistic_mr(("poisson",), (2.0, 2.0)), noise=0.0, coils=(4, 4))
    scan, image = family.simulate_with_image(brain, 1)
    assert scan.protocol.coils == 4
    torch.testing.assert_close(image.abs(), brain.data, atol=0.02, rtol=0)
    assert isinstance(scan.operator, CartesianMR)
    error = (scan.operator(image) - scan.y).norm() / scan.y.norm()
    real = (scan.operator(image.abs().to(image.dtype)) - scan.y).norm() / scan.y.norm()
    assert error < 0.15
    assert real > 2 * error


def test_drawn_scanners_of_mr_differ_in_coils_and_leave_out_a_side_of_kspace_now_and_then(brain: Volume) -> None:
    family = replace(realistic_mr(("equispaced",), (2.0, 2.0)), noise=0.0, coils=(4, 4), scanners=True)
    task = Task(family, ("zero-filled",))
    assert task_from_dict(json.loads(json.dumps(task.to_dict()))) == task
    assert task.of_many_scanners
    missing, maps = [], []
    for seed in range(12):
        scan, image = family.simulate_with_image(brain, seed)
        columns = scan.operator.mask.any(0).nonzero().flatten()
        missing.append(max(int(columns[0]), 63 - int(columns[-1])))
        maps.append(scan.operator.coil_maps)
        middle = scan.operator.mask[:, 31:34]
        assert bool(middle.all()), "the centre stays"
        assert float((scan.operator(image) - scan.y).norm() / scan.y.norm()) < 0.25
    assert min(missing) <= 4, "the mask itself leaves out a few of the last columns"
    assert max(missing) >= 10, "a side of k-space"
    assert not torch.allclose(maps[0].abs(), maps[1].abs(), atol=0.05)
    with pytest.raises(ValueError, match="scanners are drawn of continuous objects only"):
        MRAcquisition(scanners=True)


def test_a_mask_with_too_small_a_centre_for_maps_is_of_one_coil() -> None:
    tiny = Volume(torch.rand(1, 16, 16), np.eye(4), "MR")
    family = replace(realistic_mr(("equispaced",), (4.0, 4.0)), coils=(4, 8))
    assert family.simulate(tiny, 0).y.shape[1] == 1


@pytest.mark.parametrize(
    ("trained", "scan", "proven"),
    [
        ("ideal", "ideal", True),
        ("ideal", "continuous", True),
        ("ideal", None, False),
        ("continuous", "continuous", True),
        ("continuous", "ideal", True),
        ("continuous", None, False),
        ("drawn", "continuous", True),
        ("drawn", "ideal", True),
        ("drawn", None, False),
    ],
)
def test_a_network_for_ct_is_proven_on_the_simulated_scans_of_its_validation(
    trunk: Volume, trained: str, scan: str | None, proven: bool
) -> None:
    family = CTAcquisition(GEOMETRY, simulation=trained)
    protocol = replace(family.simulate(trunk, 0).protocol, simulation=scan, model_error=0.003)
    reason = family.why_unproven(protocol)
    assert (reason is None) == proven
    if reason:
        assert "\n" not in reason
        assert "it is not known to be better than total variation on data that were " in reason
        assert reason.endswith("measured" if scan is None else "by the operator that reconstructs")


def test_larger_model_errors_than_those_of_the_validation_are_unproven() -> None:
    scan = Protocol(geometry=GEOMETRY.to_dict(), simulation="continuous", model_error=0.02)
    assert CTAcquisition(GEOMETRY).why_unproven(scan) == (
        "it is known to be better than total variation with a model error of at most 0.006, the scan has 0.02"
    )
    learned = CTAcquisition(GEOMETRY, model_error=(0.001, 0.03), simulation="continuous")
    assert learned.why_unproven(scan) is None
    assert learned.why_unsuitable(scan) is None
