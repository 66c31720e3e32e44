"""Rays that were not measured have no weight in any method: the image is nearly that of the whole scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets import sample
from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.missing_rays import MissingRays
from physics.ct.projector import CTProjector
from physics.noise import TransmissionNoise
from priors.networks.unrolled import LearnedPrimalDual, PrimalDualConfig
from recon.acquisition.ct import ct_protocol, measured_ct, sinogram_of, with_geometry
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.errors import InputError
from recon.io.sinogram import read_sinogram, write_sinogram
from recon.learned.unrolled_image import primal_dual_image
from recon.methods import get_method
from recon.run.load import load
from recon.run.measure import simulate_ct
from recon.scan.measurement import Measurement, RunContext
from recon.solvers.data_consistency import discrepancy_weight
from recon.solvers.two_grid import correct_model_error

GRID = ImageGrid((40, 40), (2.0, 2.0))
GEOMETRY = FanBeam(circular_angles(48), 2.0)


def body() -> Tensor:
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 40)] * 2, indexing="ij")
    image = 0.02 * ((x / 0.8).square() + (y / 0.6).square() < 1).float()
    image += 0.006 * ((x - 0.2).square() + (y - 0.1).square() < 0.04).float()
    return image.expand(2, -1, -1).contiguous()


@pytest.fixture(scope="module")
def whole() -> Measurement:
    operator = CTProjector(GEOMETRY, GRID, slices=2)
    y, sigma = TransmissionNoise(1e5).apply(operator(body()), torch.Generator().manual_seed(0))
    return Measurement(y, operator, sigma, (2.0, 2.0, 2.0))


def lacking(whole: Measurement) -> Measurement:
    """Without three cells, a view, and a block of rays of one slice."""
    mask = torch.ones(whole.y.shape, dtype=torch.bool)
    mask[:, :, [17, 30, 31]] = False
    mask[:, 20] = False
    mask[1, 5:8, 12:20] = False
    y = torch.where(mask, whole.y, 0.0)
    return replace(whole, y=y, operator=MissingRays(whole.operator, mask))  # type: ignore[arg-type]


def image(measurement: Measurement, name: str) -> Tensor:
    method = get_method("CT", name)
    return method.run(measurement, method.options(), RunContext()).mean


@pytest.mark.parametrize("name", ["fbp", "cgls", "os-sirt", "sart", "sirt", "tv", "tv+dc", "fbp+dc"])
def test_the_image_is_nearly_that_of_the_whole_scan(whole: Measurement, name: str) -> None:
    truth = body()
    complete, found = (float((image(scan, name) - truth).norm() / truth.norm()) for scan in (whole, lacking(whole)))
    assert found < 1.25 * complete + 0.01


def test_the_noise_is_that_of_measured_rays(whole: Measurement) -> None:
    scan = lacking(whole)
    assert scan.operator.mask is not None
    assert isinstance(whole.sigma, Tensor)
    variance = whole.sigma.double().square()[scan.operator.mask]
    sigma = torch.where(scan.operator.mask, whole.sigma, 1e3)
    spoilt = replace(scan, sigma=sigma)
    assert spoilt.noise_power == pytest.approx(float(variance.sum()))
    assert discrepancy_weight(spoilt, body(), scan.operator.norm_bound**2, 5) > 0


def test_the_model_error_is_told_from_measured_rays(whole: Measurement) -> None:
    scan = lacking(whole)
    assert scan.operator.mask is not None
    found = correct_model_error(replace(scan, protocol=ct_protocol(whole.operator.geometry, None, False)), rounds=0)  # type: ignore[attr-defined]
    assert found.measurement.y.isfinite().all()
    assert not found.measurement.y[~scan.operator.mask].any()
    assert not found.error[~scan.operator.mask].any()


def test_unrolled_networks_get_filled_data(whole: Measurement) -> None:
    torch.manual_seed(0)
    net = LearnedPrimalDual(PrimalDualConfig(iterations=2, width=4))
    scan = lacking(whole)
    filled = scan.operator.completed(scan.y)
    start = torch.zeros_like(body())
    with torch.no_grad():
        expected = primal_dual_image(net, replace(scan, operator=filled[0], y=filled[1]), start)
        torch.testing.assert_close(primal_dual_image(net, scan, start), expected)


def test_networks_refuse_a_scan_of_which_much_is_missing() -> None:
    case = load(sample.path("ct"), "CT")
    case = replace(case, data=case.data[:1, ::4, ::4], affine=case.affine @ np.diag([4.0, 4, 1, 1]))  # type: ignore[union-attr]
    scan = simulate_ct(case, GEOMETRY)  # type: ignore[arg-type]
    family = CTAcquisition(GEOMETRY)
    assert family.why_unsuitable(scan) is None
    for share, refused in ((0.03, False), (0.12, True)):
        mask = torch.ones(scan.y.shape[1:], dtype=torch.bool)
        mask[:, : round(share * mask.shape[1])] = False
        few = replace(scan, operator=MissingRays(scan.operator, mask))  # type: ignore[arg-type]
        assert bool(family.why_unsuitable(few)) is refused
    assert "of this scan's were not measured" in str(family.why_unsuitable(few))


def test_from_the_file_to_the_operator(tmp_path, whole: Measurement) -> None:
    from recon.scan.volume import Volume

    volume = Volume(torch.zeros(2, 40, 40), np.diag([2.0, 2.0, 2.0, 1.0]), "CT")
    scan = simulate_ct(volume, GEOMETRY)
    sinogram = sinogram_of(replace(scan, y=whole.y.clone()), volume, 0)
    sinogram.data[0, 3, 4] = float("nan")
    write_sinogram(tmp_path / "scan.h5", sinogram)
    measurement, grid = measured_ct(read_sinogram(tmp_path / "scan.h5"))
    mask = measurement.operator.mask
    assert mask is not None
    assert not mask[0, 3, 4]
    assert int((~mask).sum()) == 1
    assert measurement.y[0, 3, 4] == 0
    assert any("were not measured" in notice for notice in grid.notices)


def test_another_geometry_for_a_sinogram(tmp_path, whole: Measurement) -> None:
    from recon.scan.volume import Volume

    volume = Volume(torch.zeros(2, 40, 40), np.diag([2.0, 2.0, 2.0, 1.0]), "CT")
    sinogram = sinogram_of(replace(simulate_ct(volume, GEOMETRY), y=whole.y), volume, 0)
    scanner = tmp_path / "scanner.yaml"
    scanner.write_text("{type: fan, source_isocentre_mm: 500, source_detector_mm: 900, pitch_mm: 1.5, offset_mm: 2}")
    changed = with_geometry(sinogram, str(scanner))
    assert changed.geometry["offset"] == 2
    assert tuple(changed.geometry["angles"]) == GEOMETRY.angles
    assert changed.geometry["cells"] == whole.y.shape[-1]
    assert "in place of the file's own" in changed.notices[-1]
    scanner.write_text("{type: parallel, pitch_mm: 1, angles: {views: 7}}")
    with pytest.raises(InputError, match=r"7 views, but the sinogram has 48 of"):
        with_geometry(sinogram, str(scanner))
