"""Simulated MR scans of continuous objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physics.mr.cartesian import fft2c, ifft2c
from physics.mr.masks import make_mask
from recon.acquisition.continuous_mr import Receiver, scan_continuous_mr, truncated_kspace
from recon.acquisition.noise_mr import kspace_noise
from recon.errors import InputError
from recon.scan.volume import Volume
from recon.solvers.slabs import zero_filled

_CLEAN = Receiver(noise=0.0, phase=0.0)


def _discs(size: int) -> Volume:
    x = (torch.arange(size) + 0.5) / size * 2 - 1
    radius = torch.hypot(x[:, None] - 0.05, x + 0.1)
    image = 700.0 * (radius < 0.7) + 300.0 * (radius < 0.3)
    step = 192.0 / size
    return Volume(image.float().repeat(2, 1, 1), np.diag([step, step, 3.0, 1.0]), "MR")


def _full(size: int):
    return make_mask("random", (size, size), 1.0, 24)


def _blob(size: int, centre: tuple[float, float] = (0.1, -0.2)) -> torch.Tensor:
    x = (torch.arange(size) + 0.5) / size * 2 - 1
    return torch.exp(-((x[:, None] - centre[0]) ** 2 + (x - centre[1]) ** 2) / 0.02)[None]


@pytest.mark.parametrize(("fine", "coarse"), [(128, 64), (120, 40), (96, 63), (75, 50)])
def test_a_smooth_object_is_sampled_at_the_centres_of_voxels(fine, coarse):
    image = ifft2c(truncated_kspace(_blob(fine).to(torch.complex64), (coarse, coarse)))
    assert torch.allclose(image.real, _blob(coarse), atol=2e-3)
    assert float(image.imag.abs().max()) < 2e-3


def test_edges_ring_by_nine_percent():
    scan = scan_continuous_mr(_discs(256), _full(64), _CLEAN)
    image = zero_filled(scan.measurement).abs()[0]
    ideal = ifft2c(fft2c(scan.truth.data[0].to(torch.complex64))).abs()
    ring = image[scan.truth.data[0] == 700]
    assert 1.04 < float(ring.max() / 700) < 1.2
    assert float(ideal.max()) <= 1000.5
    assert float((image - scan.truth.data[0]).norm() / scan.truth.data[0].norm()) < 0.2


def test_noise_is_the_stated_fraction_of_the_maximum():
    scan = scan_continuous_mr(_discs(128), _full(64), Receiver(noise=0.05))
    clean = scan_continuous_mr(_discs(128), _full(64), Receiver(noise=0.0))
    noise = scan.measurement.y - clean.measurement.y
    sigma = 0.05 * float(scan.truth.data.max())
    assert scan.measurement.sigma == pytest.approx(sigma, rel=1e-6)
    assert float(noise.abs().square().mean().sqrt()) == pytest.approx(sigma, rel=0.03)
    assert kspace_noise(scan.measurement.y, scan.measurement.operator.mask) == pytest.approx(sigma, rel=0.15)
    assert clean.measurement.sigma is None


def test_coils_are_estimated_from_the_data():
    mask = make_mask("poisson", (64, 64), 3.0, 24)
    scan = scan_continuous_mr(_discs(128), mask, Receiver(noise=0.01, coils=4))
    assert scan.measurement.operator.range == (2, 4, 64, 64)
    full = scan_continuous_mr(_discs(128), _full(64), Receiver(noise=0.0, coils=4))
    image = zero_filled(full.measurement).abs()
    assert float((image - full.truth.data).norm() / full.truth.data.norm()) < 0.2


def test_the_seed_decides_everything_and_the_object_has_phase():
    first, again, other = (scan_continuous_mr(_discs(64), _full(64), seed=seed).measurement.y for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    image = ifft2c(first)[0, 0]
    inside = image[20:44, 20:44]
    assert float((inside.angle()).abs().max()) > 0.1


def test_wrong_requests_name_the_parameter():
    with pytest.raises(InputError, match="`grid` 96,96"):
        scan_continuous_mr(_discs(64), _full(96))
    with pytest.raises(InputError, match="`mask`"):
        scan_continuous_mr(_discs(128), make_mask("random", (64, 64), 4.0, 2), Receiver(coils=4))
    with pytest.raises(ValueError, match="`noise` 1"):
        Receiver(noise=1)
