"""ESPIRiT: the maps and eigenvalues of sigpy's implementation, and of coils that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from physics.mr.birdcage import birdcage_maps
from physics.mr.cartesian import fft2c
from physics.mr.coils import LEAST_CALIBRATION, estimate_maps, kernel_side, rss
from physics.mr.espirit import espirit

SHAPE = (96, 80)


def head(coils: int, noise: float = 0.02) -> tuple[Tensor, Tensor, Tensor]:
    """Sensitivities (coils, y, x), an image (y, x) with a phase, and k-space (coils, y, x) with noise."""
    y, x = (torch.linspace(-1, 1, n) for n in SHAPE)
    inside = (y[:, None] / 0.85) ** 2 + (x / 0.75) ** 2 < 1
    image = (
        inside * (0.7 + 0.3 * torch.cos(19 * x) * torch.sin(17 * y)[:, None]) * torch.exp(1j * (x + y[:, None] ** 2))
    )
    maps = birdcage_maps(coils, SHAPE)
    kspace = fft2c(maps * image)
    return (
        maps,
        image,
        kspace + noise * torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(coils)),
    )


def centre_of(kspace: Tensor, calib: int) -> Tensor:
    top, left = (n // 2 - calib // 2 for n in SHAPE)
    return kspace[:, top : top + calib, left : left + calib]


@pytest.mark.parametrize(("coils", "calib", "kernel"), [(4, 24, 6), (8, 20, 6), (5, 13, 5), (3, 16, 4)])
def test_maps_and_eigenvalues_are_those_of_sigpy(coils: int, calib: int, kernel: int) -> None:
    from sigpy.mri.app import EspiritCalib

    _, image, kspace = head(coils)
    app = EspiritCalib(
        kspace.numpy(), calib_width=calib, kernel_width=kernel, crop=0, output_eigenvalue=True, show_pbar=False
    )
    theirs, their_values = (torch.from_numpy(np.asarray(part)) for part in app.run())
    ours, values = espirit(centre_of(kspace, calib), SHAPE, kernel)
    body = image.abs() > 0
    # Maps are known up to a phase per voxel; outside of the body eigenvalues may be alike, and the vectors any.
    parallel = (theirs.conj() * ours).sum(0).abs() / rss(theirs)
    assert float(parallel[body].min()) > 1 - 1e-4
    assert float((their_values.squeeze().real - values)[body].abs().max()) < 1e-3
    assert float((their_values.squeeze().real - values).abs().max()) < 0.05


@pytest.mark.parametrize("coils", [4, 8])
@pytest.mark.parametrize("calib", [LEAST_CALIBRATION, 8, 10, 12, 15, 24])
def test_maps_of_any_calibration_region_are_those_of_the_coils(coils: int, calib: int) -> None:
    true, image, kspace = head(coils)
    maps = estimate_maps(kspace[None], calib)[0]
    body = image.abs() > 0
    assert float((rss(maps)[body] > 0).float().mean()) > 0.99
    parallel = (true.conj() * maps).sum(0).abs()
    assert float(1 - parallel[body].mean()) < (1e-3 if calib < 10 else 3e-4)


def test_a_small_calibration_region_tells_where_there_is_signal() -> None:
    """With a kernel of 6 all eigenvalues are low; they say nothing of the signal then."""
    _, image, kspace = head(8)
    body = image.abs() > 0
    assert float(espirit(centre_of(kspace, 10), SHAPE, 6)[1][body].median()) < 0.95
    assert float(espirit(centre_of(kspace, 10), SHAPE, kernel_side(10))[1][body].quantile(0.05)) > 0.98


def test_the_phase_is_smooth_in_the_body() -> None:
    _, image, kspace = head(8)
    maps, _ = espirit(centre_of(kspace, 24), SHAPE, 6)
    body = (image.abs() > 0)[:, 1:] & (image.abs() > 0)[:, :-1]
    steps = (maps[:, :, 1:] * maps[:, :, :-1].conj()).sum(0).angle().abs()
    assert float(steps[body].max()) < 0.3


def test_kernels() -> None:
    assert [kernel_side(calib) for calib in (7, 9, 10, 12, 13, 16, 24, 40)] == [3, 3, 4, 4, 5, 6, 6, 6]


def test_a_centre_that_is_too_small_is_told_from_axes_in_a_wrong_order() -> None:
    with pytest.raises(ValueError, match=r"centre of 7 to 12 samples a side, not 5; .* a larger one \(`calib`"):
        estimate_maps(torch.ones(1, 2, 12, 16) + 0j, 5)
    with pytest.raises(ValueError, match=r"but k-space is 16 × 4 .* the axis of the coils"):
        estimate_maps(torch.ones(1, 12, 16, 4) + 0j, 4)
