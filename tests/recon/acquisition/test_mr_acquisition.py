"""From a magnitude volume or k-space to an MR measurement, and to the truth where there is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from physics.mr.cartesian import CartesianMR, fft2c, ifft2c
from physics.mr.coils import rss
from physics.mr.masks import make_mask, seed_of
from recon.acquisition.mr import (
    MaskRequest,
    center_crop,
    choose_mask,
    image_of,
    kspace_of,
    simulate_mr,
    volume_name,
)
from recon.acquisition.mr_measured import ScanRequest, measured_mr
from recon.acquisition.mr_protocol import SIMULATED_FROM_MAGNITUDE
from recon.acquisition.network_scale import network_scale
from recon.errors import InputError
from recon.methods import get_method
from recon.run.measure import measure_mr
from recon.scan.kspace import KSpace
from recon.scan.measurement import RunContext
from recon.scan.volume import Source, Volume

SHAPE = (48, 40)
AFFINE = np.diag([1.5, 2.0, 3.0, 1.0])


def source(name: str) -> Source:
    return Source(Path("folder") / name, "nifti", AFFINE, (40, 48, 2))


def magnitude(slices: int = 2) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, SHAPE[0]), torch.linspace(-1, 1, SHAPE[1]), indexing="ij")
    planes = [100 * (x**2 + y**2 < 0.7).float() - 40 * ((x - 0.2 * k) ** 2 + y**2 < 0.1).float() for k in range(slices)]
    return torch.stack(planes)


@pytest.fixture
def volume() -> Volume:
    return Volume(magnitude(), AFFINE, "MR", source("brain.nii.gz"))


@pytest.fixture(scope="module")
def coils() -> KSpace:
    """Fully sampled k-space of four coils, with a phase."""
    from sigpy.mri import birdcage_maps

    maps = torch.from_numpy(np.asarray(birdcage_maps((4, *SHAPE)), np.complex64))
    image = magnitude() * torch.exp(torch.tensor(0.5j))
    return KSpace(fft2c(image[:, None] * maps), AFFINE, source=source("knee.h5"))


def single_coil() -> KSpace:
    return KSpace(fft2c(magnitude().to(torch.complex64))[:, None], AFFINE)


def test_the_default_mask() -> None:
    mask = choose_mask(MaskRequest(), (96, 80), "brain.nii.gz")
    assert (mask.kind, mask.accel, mask.calib) == ("poisson", 8.0, 24)
    assert mask.seed == seed_of("brain.nii.gz")


def test_a_mask_follows_name_or_seed() -> None:
    request = MaskRequest("gauss1d", 4.0, 8)
    by_name = choose_mask(request, SHAPE, "a")
    assert torch.equal(by_name.array, choose_mask(request, SHAPE, "a").array)
    assert not torch.equal(by_name.array, choose_mask(request, SHAPE, "b").array)
    seeded = choose_mask(replace(request, seed=3), SHAPE, "a")
    assert torch.equal(seeded.array, make_mask("gauss1d", SHAPE, 4.0, 8, 3).array)
    assert torch.equal(seeded.array, choose_mask(replace(request, seed=3), SHAPE, "b").array)


def test_a_mask_file(tmp_path: Path) -> None:
    columns = np.zeros(SHAPE[1], bool)
    columns[::2] = True
    np.save(tmp_path / "mask.npy", columns)
    mask = choose_mask(MaskRequest(str(tmp_path / "mask.npy")), SHAPE, "a")
    assert (mask.kind, mask.true_acceleration) == ("file", 2.0)
    for request in (
        MaskRequest(str(tmp_path / "mask.npy"), accel=4.0),
        MaskRequest(str(tmp_path / "mask.npy"), calib=4),
    ):
        with pytest.raises(InputError, match="a mask from a file has its own acceleration"):
            choose_mask(request, SHAPE, "a")
    with pytest.raises(InputError, match=r"`mask`: .*k-space is 30 × 30"):
        choose_mask(MaskRequest(str(tmp_path / "mask.npy")), (30, 30), "a")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (MaskRequest("posson"), "`mask` posson: neither a file nor one of gauss1d"),
        (MaskRequest("gauss1d", accel=0.5), "`mask` gauss1d: the acceleration must be at least 1, not 0.5"),
        (MaskRequest("gauss1d", 10.0, calib=30), "`mask` gauss1d: gauss1d cannot be 10 times accelerated"),
        (MaskRequest("poisson", 4.0, calib=60), "`mask` poisson: the calibration region"),
        (MaskRequest("gauss1d", 4.0, seed=-1), "seed"),
    ],
)
def test_impossible_masks(request_: MaskRequest, message: str) -> None:
    with pytest.raises(InputError) as raised:
        choose_mask(request_, SHAPE, "a")
    assert message in str(raised.value)


def test_a_simulation_says_that_it_is_from_magnitude(volume: Volume) -> None:
    measurement = simulate_mr(volume, "gauss1d", 4.0)
    assert measurement.protocol.notices == (SIMULATED_FROM_MAGNITUDE,)
    assert "simulated from magnitude" in SIMULATED_FROM_MAGNITUDE
    assert "k-space was simulated from a magnitude volume" in " ".join(measurement.protocol.sentences)


def test_a_simulation_is_the_masked_transform(volume: Volume) -> None:
    measurement = simulate_mr(volume, "gauss1d", 4.0)
    operator = measurement.operator
    assert isinstance(operator, CartesianMR)
    torch.testing.assert_close(measurement.y, fft2c(volume.data.to(torch.complex64))[:, None] * operator.mask)
    assert measurement.sigma is None
    assert measurement.spacing == pytest.approx((3.0, 2.0, 1.5))
    assert measurement.protocol.true_acceleration == pytest.approx(operator.mask.numel() / int(operator.mask.sum()))
    assert measurement.protocol.true_acceleration == pytest.approx(4.0)
    assert measurement.protocol.mask is not None
    assert measurement.protocol.mask["seed"] == seed_of("brain.nii.gz")


def test_noise_is_relative_to_the_maximum(volume: Volume) -> None:
    clean, noisy = simulate_mr(volume, "gauss1d", 2.0), simulate_mr(volume, "gauss1d", 2.0, noise=0.02, seed=5)
    assert noisy.sigma == pytest.approx(0.02 * float(volume.data.max()))
    mask: Tensor = noisy.operator.mask
    error = (noisy.y - clean.y)[..., mask]
    assert float(error.abs().square().mean().sqrt()) == pytest.approx(noisy.sigma, rel=0.1)
    assert not noisy.y[..., ~mask].any()
    assert noisy.protocol.noise == {"std_of_maximum": 0.02}
    assert torch.equal(noisy.y, simulate_mr(volume, "gauss1d", 2.0, noise=0.02, seed=5).y)
    assert not torch.equal(noisy.y, simulate_mr(volume, "gauss1d", 2.0, noise=0.02, seed=6).y)


@pytest.mark.parametrize("kind", ["poisson", "gauss1d"])
def test_outer_samples_tell_the_noise(kind: str) -> None:
    generator = torch.Generator().manual_seed(3)
    smooth = torch.outer(torch.hann_window(96), torch.hann_window(80))[None].repeat(4, 1, 1)
    grainy = smooth + 0.03 * torch.randn(smooth.shape, generator=generator)
    for image, least, most in ((smooth, 0.0, 1e-3), (grainy, 0.027, 0.033)):
        assert least <= network_scale(simulate_mr(Volume(image, AFFINE, "MR"), kind, 4.0)).grain <= most
    ten_times = simulate_mr(Volume(10 * grainy, AFFINE, "MR"), kind, 4.0)
    assert network_scale(ten_times).grain == pytest.approx(0.3, rel=0.1)


def test_a_mask_of_low_frequencies_tells_no_noise(volume: Volume) -> None:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[20:28, 16:24] = True
    measured = simulate_mr(volume, make_mask("poisson", SHAPE, 2.0, 8, 0))
    assert network_scale(replace(measured, operator=CartesianMR(mask))).grain == 0


def test_the_case_of_a_volume_has_the_volume_as_truth(volume: Volume) -> None:
    case = measure_mr(volume, "gauss1d", 4.0, simulate="ideal")
    assert case.truth is volume
    assert case.grid is volume
    assert case.measurement.protocol.notices == (SIMULATED_FROM_MAGNITUDE,)
    assert not hasattr(case.measurement, "truth"), "a method sees the measurement and nothing else"


def test_full_multi_coil_data_are_undersampled_here(coils: KSpace) -> None:
    case = measure_mr(coils, "gauss1d", 2.0, 16)
    measurement, operator = case.measurement, case.measurement.operator
    assert isinstance(operator, CartesianMR)
    assert torch.equal(measurement.y, coils.data * operator.mask)
    assert operator.range == (2, 4, *SHAPE)
    assert measurement.protocol.true_acceleration == pytest.approx(2.0)
    assert measurement.protocol.notices == ()
    assert "4 coils with ESPIRiT maps" in measurement.protocol.sentences[0]
    assert case.truth is not None
    torch.testing.assert_close(case.truth.data, rss(ifft2c(coils.data)), rtol=1e-4, atol=1e-3)
    assert case.grid.source is coils.source
    method = get_method("MR", "cg-sense")
    image = image_of(method.run(measurement, method.options(), RunContext()).mean, SHAPE)
    inside = case.truth.data > 30
    assert float((image - case.truth.data)[inside].abs().mean()) < 0.05 * float(case.truth.data.max())


def test_coil_maps_see_the_calibration_region_alone(coils: KSpace) -> None:
    """Other data outside the mask and another mask outside the centre leave the maps as they are."""
    request = MaskRequest("gauss1d", 2.0, 16, seed=1)
    expected = measured_mr(coils, request).measurement.operator.coil_maps
    mask = choose_mask(request, SHAPE, "knee.h5").array
    spoilt = replace(coils, data=torch.where(mask, coils.data, 1e3))
    assert torch.equal(measured_mr(spoilt, request).measurement.operator.coil_maps, expected)


def test_coils_need_a_calibration_region(coils: KSpace) -> None:
    with pytest.raises(InputError, match="`mask`: coil sensitivity maps need a fully sampled centre"):
        measured_mr(coils, MaskRequest("gauss1d", 4.0, 0))


def test_noise_on_measured_data(coils: KSpace) -> None:
    request = MaskRequest("gauss1d", 2.0, 16)
    clean, noisy = (
        measured_mr(coils, request).measurement,
        measured_mr(coils, request, ScanRequest(0.01, seed=3)).measurement,
    )
    peak = float(rss(ifft2c(coils.data)).max())
    assert noisy.sigma >= 0.01 * peak * (1 - 1e-5), "what was added, or with the file's own noise more"
    mask: Tensor = noisy.operator.mask
    error = (noisy.y - clean.y)[..., mask]
    assert float(error.abs().square().mean().sqrt()) == pytest.approx(0.01 * peak, rel=0.05)
    assert not noisy.y[..., ~mask].any()


def undersampled(kspace: KSpace) -> KSpace:
    mask = make_mask("gauss1d", SHAPE, 2.0, 16, 7).array
    return replace(kspace, data=kspace.data * mask, mask=mask)


def test_undersampled_data_bring_their_mask(coils: KSpace) -> None:
    data = undersampled(coils)
    case = measured_mr(data, MaskRequest())
    assert torch.equal(case.measurement.y, data.data)
    assert torch.equal(case.measurement.operator.mask, data.mask)
    assert case.truth is None
    assert case.measurement.protocol.mask is not None
    assert case.measurement.protocol.mask["kind"] == "file"
    assert case.measurement.protocol.mask["calib"] >= 16
    assert case.measurement.protocol.true_acceleration == pytest.approx(2.0)
    assert case.measurement.sigma is None


@pytest.mark.parametrize("request_", [MaskRequest("gauss1d"), MaskRequest(accel=4.0), MaskRequest(calib=8)])
def test_undersampled_data_take_no_other_mask(request_: MaskRequest) -> None:
    with pytest.raises(InputError, match="undersampled already and brings its mask"):
        measured_mr(undersampled(single_coil()), request_)


def test_undersampled_data_take_no_noise() -> None:
    with pytest.raises(InputError, match="`noise`: the file is undersampled already"):
        measured_mr(undersampled(single_coil()), MaskRequest(), ScanRequest(0.01))


def test_a_reference_is_the_truth_and_the_image_is_cropped() -> None:
    """fastMRI's readout is twice as long as the image; its reference has the image's shape."""
    reference = 3 * torch.ones(2, 24, 40)
    data = replace(single_coil(), image_shape=(24, 40), reference=reference)
    case = measured_mr(data, MaskRequest("gauss1d", 2.0))
    assert case.truth is not None
    assert torch.equal(case.truth.data, reference)
    assert case.grid.data.shape == (2, 24, 40)
    assert measured_mr(undersampled(data), MaskRequest()).truth is not None
    own = measured_mr(replace(data, reference=None), MaskRequest("gauss1d", 2.0)).truth
    assert own is not None
    torch.testing.assert_close(own.data, magnitude()[:, 12:36], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("size", "cropped"), [(8, 4), (9, 4), (9, 5), (8, 5), (5, 5)])
def test_the_centre_stays_the_centre(size: int, cropped: int) -> None:
    """Where fastMRI crops: an odd part of an even length has no choice but to lie half a voxel off."""
    image = torch.arange(size, dtype=torch.float32).repeat(3, 1)
    found = center_crop(image, (3, cropped))
    assert found.shape == (3, cropped)
    first = (size - cropped) // 2
    assert found[0].tolist() == list(range(first, first + cropped))
    moved = size % 2 == 0 and cropped % 2 == 1
    assert float(found[0, cropped // 2]) == size // 2 - moved


def test_an_image_is_a_real_magnitude() -> None:
    image = torch.full((1, 4, 4), 3 + 4j)
    assert image_of(image, (2, 2)).dtype == torch.float32
    assert torch.equal(image_of(image, (2, 2)), torch.full((1, 2, 2), 5.0))


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_written_kspace_is_the_same_measurement(volume: Volume, noise: float) -> None:
    case = measure_mr(volume, "gauss1d", 4.0, noise=noise, seed=1, simulate="ideal")
    back = measured_mr(kspace_of(case, volume), MaskRequest())
    assert torch.equal(back.measurement.y, case.measurement.y)
    assert torch.equal(back.measurement.operator.mask, case.measurement.operator.mask)
    assert back.measurement.sigma == case.measurement.sigma
    assert back.measurement.spacing == pytest.approx(case.measurement.spacing)
    assert back.measurement.protocol.notices == (SIMULATED_FROM_MAGNITUDE,)
    assert back.truth is not None
    assert torch.equal(back.truth.data, volume.data)


def test_names(volume: Volume) -> None:
    assert volume_name(volume) == "brain.nii.gz"
    assert volume_name(single_coil()) == "volume"


def test_padding_is_no_sample_of_a_mask() -> None:
    acquired = torch.zeros(SHAPE, dtype=torch.bool)
    acquired[:, 10:-10] = True
    kspace = replace(single_coil(), acquired=acquired)
    scan = measured_mr(kspace, MaskRequest("random", 4, 4, 1))
    mask = scan.measurement.operator.mask
    assert not mask[~acquired].any()
    assert scan.measurement.protocol.true_acceleration == pytest.approx(int(acquired.sum()) / int(mask.sum()))
    assert scan.truth is not None


def test_partial_fourier_has_no_truth_of_its_own() -> None:
    acquired = torch.ones(SHAPE, dtype=torch.bool)
    acquired[:, :15] = False
    kspace = replace(single_coil(), acquired=acquired, partial_fourier=True, notices=("partial Fourier",))
    scan = measured_mr(kspace, MaskRequest())
    assert torch.equal(scan.measurement.operator.mask, acquired)
    assert (scan.truth, scan.measurement.protocol.true_acceleration) == (None, 1)
    assert scan.grid.notices == ("partial Fourier",)
    further = measured_mr(kspace, MaskRequest("random", 4, 4, 1))
    assert not further.measurement.operator.mask[~acquired].any()
    assert further.truth is None
    reference = replace(kspace, reference=magnitude())
    assert measured_mr(reference, MaskRequest()).truth is not None
