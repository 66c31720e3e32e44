"""Simulated scans of continuous objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physics.averaging import refined
from physics.ct.finite_cells import Aperture
from physics.ct.geometry import FanBeam, circular_angles
from physics.noise import TransmissionNoise
from recon.acquisition.continuous import Scanner, averaged, scan_continuous
from recon.errors import InputError
from recon.io.detect import read_any
from recon.scan.units import hu_to_attenuation
from recon.scan.volume import Volume

_GEOMETRY = FanBeam(circular_angles(12), pitch=3.0)


def _blobs(size: int, width: float, slices: int = 2) -> Volume:
    """Gaussian bodies in air, ``width`` of the field of view wide, on a field of 192 mm."""
    step = 192.0 / size
    x = ((torch.arange(size) + 0.5) / size - 0.5) / width
    places = ((-1.0, -0.5, 900.0), (0.5, 1.0, 1200.0), (0.2, -0.8, 700.0))
    body = sum(top * torch.exp(-((x[:, None] - y) ** 2 + (x - z) ** 2) / 0.5) for y, z, top in places)
    return Volume((body - 1000).repeat(slices, 1, 1), np.diag([step, step, 2.0, 1.0]), "CT")


def _error(scan) -> float:
    ideal = scan.measurement.operator(hu_to_attenuation(scan.truth.data.clone()))
    return float((scan.measurement.y - ideal).norm() / ideal.norm())


def test_the_model_error_vanishes_as_the_object_becomes_smooth():
    widths = (0.04, 0.1, 0.3)
    errors = [_error(scan_continuous(_blobs(192, width), _GEOMETRY, (64, 64))) for width in widths]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 4e-3


def test_a_volume_as_coarse_as_the_result_is_interpolated_and_keeps_its_means():
    volume = _blobs(48, 0.1)
    scan = scan_continuous(volume, _GEOMETRY)
    assert torch.allclose(scan.truth.data, volume.data, atol=0.5)
    assert 0.01 < _error(scan) < 0.04


def test_refinement_keeps_means_of_rough_images_above_zero():
    image = 0.02 + 0.001 * torch.randn(2, 20, 24, generator=torch.Generator().manual_seed(0))
    fine = refined(image, (40, 48))
    assert torch.allclose(torch.nn.functional.avg_pool2d(fine[:, None], 2)[:, 0], image, atol=1e-5)


def test_averaging_moves_the_centres_of_voxels():
    volume = _blobs(48, 0.1)
    half = averaged(volume, (24, 24))
    assert half.spacing == (2.0, 8.0, 8.0)
    assert np.allclose(half.affine[:3, 3], [2.0, 2.0, 0.0])


def test_the_seed_decides_everything():
    scanner = Scanner(Aperture(2), scatter=0.1, gain_error=0.02, dead_cells=0.05)
    first, again, other = (
        scan_continuous(_blobs(48, 0.1), _GEOMETRY, (24, 24), scanner, TransmissionNoise(1e4), seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first.measurement.y, again.measurement.y)
    assert not torch.equal(first.measurement.y, other.measurement.y)
    assert torch.equal(first.missing, again.missing)
    assert 0 < int(first.missing.sum()) < first.missing.numel() / 4


def test_noise_has_the_deviation_that_the_measurement_states():
    clean = scan_continuous(_blobs(48, 0.1, 8), _GEOMETRY, (24, 24))
    noisy = scan_continuous(_blobs(48, 0.1, 8), _GEOMETRY, (24, 24), noise=TransmissionNoise(1e5))
    deviation = (noisy.measurement.y - clean.measurement.y) / noisy.measurement.sigma
    assert float(deviation.std()) == pytest.approx(1, abs=0.03)
    assert clean.measurement.sigma is None


def test_gain_errors_are_rings_and_scatter_lets_more_through():
    plain, rings, hazy = (
        scan_continuous(_blobs(48, 0.1), _GEOMETRY, (24, 24), scanner).measurement.y
        for scanner in (Scanner(), Scanner(gain_error=0.03), Scanner(scatter=0.2))
    )
    ring = rings - plain
    assert torch.allclose(ring, ring[:, :1].expand_as(ring), atol=1e-5)
    assert float(ring[:, 0].std()) == pytest.approx(0.03, rel=0.25)
    assert (hazy < plain).all()
    excess = torch.exp(-hazy) - torch.exp(-plain)
    assert torch.allclose(excess.mean(-1) / torch.exp(-plain).mean(-1), torch.full_like(excess[..., 0], 0.2), atol=1e-4)
    assert float(excess.diff(dim=-1).abs().max()) < 0.05 * float(excess.max())


def test_dead_cells_are_rays_that_were_not_measured():
    whole, dead = (
        scan_continuous(_blobs(48, 0.1), _GEOMETRY, (24, 24), scanner)
        for scanner in (Scanner(), Scanner(dead_cells=0.1))
    )
    mask = dead.measurement.operator.mask
    assert mask is not None
    assert torch.equal(~mask[:, 0], dead.missing)
    assert torch.equal(dead.measurement.y, whole.measurement.y * mask)


def test_wrong_requests_name_the_parameter():
    with pytest.raises(InputError, match="`grid` 96,96"):
        scan_continuous(_blobs(48, 0.1), _GEOMETRY, (96, 96))
    with pytest.raises(ValueError, match="gain_error"):
        Scanner(gain_error=-1)


def test_the_model_error_of_a_body_is_a_third_of_a_percent(shared):
    """0.30 to 0.34 %: of a whole abdomen in a field of 408 mm, four rays a cell."""
    volume = read_any(shared / "data/ct/val_native/CRLM-CT-1004_512.nii.gz", "CT")
    part = Volume(volume.data[::6].contiguous(), volume.affine, "CT")
    geometry = FanBeam(circular_angles(8), pitch=1.2858)
    assert 2.9e-3 < _error(scan_continuous(part, geometry, (256, 256))) < 3.6e-3
