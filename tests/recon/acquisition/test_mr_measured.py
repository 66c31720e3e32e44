"""What becomes of measured k-space: its noise, its coils, and whether it is undersampled at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from physics.mr.birdcage import birdcage_maps
from physics.mr.cartesian import fft2c, ifft2c
from physics.mr.coils import compressed, rss
from physics.mr.masks import make_mask
from physics.mr.phase import smooth_phase
from recon.acquisition.mr import MaskRequest
from recon.acquisition.mr_measured import ScanRequest, measured_mr
from recon.errors import InputError
from recon.run.measure import measure_mr
from recon.scan.kspace import KSpace
from recon.scan.volume import Volume

SHAPE = (160, 144)
OPEN, GAUSS = MaskRequest(), MaskRequest("gauss1d", 2.0, 16)


def scan(sigma: float = 0.05, coils: int = 4) -> KSpace:
    """Complete k-space of smooth ellipses in birdcage coils, with noise."""
    y, x = (torch.linspace(-1, 1, size) for size in SHAPE)
    body = torch.sigmoid(20 * (0.7 - torch.hypot(y[:, None], x))) + 0.5 * torch.sigmoid(
        20 * (0.3 - torch.hypot(y[:, None], x))
    )
    random = torch.Generator().manual_seed(0)
    image = torch.polar(body[None], smooth_phase((1, *SHAPE), 1.0, random))
    clean = fft2c(image[:, None] * birdcage_maps(coils, SHAPE))
    noise = torch.randn(clean.shape, dtype=clean.dtype, generator=random)
    return KSpace(clean + sigma * noise, np.eye(4))


def words(kspace: KSpace, request: MaskRequest = GAUSS, wanted: ScanRequest | None = None) -> str:
    return " ".join(measured_mr(kspace, request, wanted).measurement.protocol.sentences)


@pytest.mark.parametrize("request_", [OPEN, GAUSS])
@pytest.mark.parametrize("coils", [1, 4])
def test_noise_that_nobody_states_is_estimated(coils: int, request_: MaskRequest) -> None:
    found = measured_mr(scan(0.05, coils), request_).measurement
    assert found.sigma == pytest.approx(0.05, rel=0.15)
    assert "estimated from outer k-space" in " ".join(found.protocol.sentences)


def test_what_is_stated_goes_before_what_is_estimated() -> None:
    kspace = scan()
    mask = make_mask("gauss1d", SHAPE, 2.0, 16).array
    under = replace(kspace, data=kspace.data * mask, mask=mask)
    assert measured_mr(replace(under, meta={"noise_std": 0.2}), OPEN).measurement.sigma == pytest.approx(0.2)
    assert "as the file states" in words(replace(under, meta={"noise_std": 0.2}), OPEN)
    stated = measured_mr(replace(under, meta={"noise_std": 0.2}), OPEN, ScanRequest(level=0.03)).measurement
    assert stated.sigma == pytest.approx(0.03 * float(rss(ifft2c(under.data)).max()))
    assert "as stated" in " ".join(stated.protocol.sentences)


def test_signal_everywhere_leaves_the_noise_unknown() -> None:
    found = measured_mr(scan(0.0), GAUSS).measurement
    assert found.sigma is None
    assert "Nothing is known of its noise" in " ".join(found.protocol.sentences)


def test_a_complete_scan_is_undersampled_only_where_that_is_asked_for() -> None:
    kspace = scan()
    whole = measured_mr(kspace, OPEN)
    assert whole.measurement.operator.mask.all()
    assert whole.measurement.protocol.mask is not None
    assert whole.measurement.protocol.mask["kind"] == "full"
    assert whole.measurement.protocol.true_acceleration == 1
    assert whole.truth is None, "there is nothing to compare the image of all samples with"
    assert measured_mr(replace(kspace, reference=torch.ones(1, *SHAPE)), OPEN).truth is not None
    assert measured_mr(kspace, MaskRequest(accel=2.0, calib=16)).truth is not None
    with pytest.raises(InputError, match="`mask_seed`: has an effect only where a mask is drawn"):
        measured_mr(kspace, MaskRequest(seed=1))


def test_coils_are_compressed_where_there_are_many_or_as_asked() -> None:
    many = scan(coils=20)
    found = measured_mr(many, GAUSS).measurement
    assert found.operator.range[1] == 12
    assert "The 20 coils were compressed to 12" in " ".join(found.protocol.sentences)
    assert found.sigma == pytest.approx(0.05, rel=0.15), "the combinations are orthonormal"
    assert measured_mr(many, GAUSS, ScanRequest(coils=20)).measurement.operator.range[1] == 20
    assert measured_mr(scan(), GAUSS, ScanRequest(coils=2)).measurement.operator.range[1] == 2
    with pytest.raises(InputError, match="`coils_compressed` 5: must be 1 to 4"):
        measured_mr(scan(), GAUSS, ScanRequest(coils=5))


def test_compression_keeps_what_the_coils_share() -> None:
    one = torch.randn(2, 1, 9, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    coils = one * torch.tensor([1.0, 2j, -1.0])[None, :, None, None]
    virtual, calibration = compressed(coils, 1, coils)
    torch.testing.assert_close(rss(virtual), rss(coils))
    torch.testing.assert_close(virtual, calibration)
    with pytest.raises(ValueError, match="1 to 3 are possible"):
        compressed(coils, 4)


def test_options_of_the_other_kind_of_scan_are_refused() -> None:
    volume = Volume(torch.rand(1, 48, 48, generator=torch.Generator().manual_seed(0)), np.eye(4), "MR")
    for wrong in ({"simulate": "ideal"}, {"coils": 2}):
        with pytest.raises(InputError, match="the data are measured already"):
            measure_mr(scan(), "gauss1d", 2.0, **wrong)  # type: ignore[arg-type]
    for wrong in ({"noise_level": 0.01}, {"coils_compressed": 2}):
        with pytest.raises(InputError, match="the data are simulated from a volume"):
            measure_mr(volume, "gauss1d", 2.0, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`coils`"):
        measure_mr(volume, "gauss1d", 2.0, simulate="ideal", coils=2)
    with pytest.raises(InputError, match="`noise_level` 2: must be a fraction"):
        measure_mr(scan(), "gauss1d", 2.0, noise_level=2.0)


@pytest.mark.parametrize(("width", "noticed"), [(8, True), (10, True), (12, False), (24, False)])
def test_a_small_calibration_region_gives_the_whole_body_and_a_notice(width: int, noticed: bool) -> None:
    kspace, mask = scan(0.02, coils=8), torch.zeros(SHAPE, dtype=torch.bool)
    first = SHAPE[1] // 2 - width // 2
    mask[:, first : first + width] = mask[:, : first - 1 : 3] = mask[:, first + width + 1 :: 3] = True
    found = measured_mr(replace(kspace, data=kspace.data * mask, mask=mask), OPEN).measurement
    image, complete = found.operator.adjoint(found.y).abs()[0], rss(ifft2c(kspace.data))[0]
    body = complete > 0.3 * complete.max()
    assert float((image[body] > 0).float().mean()) > 0.99
    told = [notice for notice in found.protocol.notices if "fully sampled centre of only" in notice]
    assert bool(told) == noticed
    assert all(f"only {width} samples" in notice for notice in told)


@pytest.mark.parametrize(
    ("mask", "words"), [(GAUSS, "along the rows"), (MaskRequest("poisson", 3.0, 16), "along the slices")]
)
def test_coils_are_compressed_geometrically(mask: MaskRequest, words: str) -> None:
    found = measured_mr(scan(coils=8), mask, ScanRequest(coils=4, compression="geometric")).measurement
    assert found.operator.range[1] == 4
    assert f"compressed to 4 virtual ones geometrically, {words}" in " ".join(found.protocol.sentences)
    with pytest.raises(InputError, match="`compression` other: must be one of svd, geometric"):
        measured_mr(scan(), OPEN, ScanRequest(compression="other"))  # type: ignore[arg-type]
