"""Coil maps: ESPIRiT on coils that are known, and combination without maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physics.mr.cartesian import CartesianMR, fft2c
from physics.mr.coils import estimate_maps, normalise, rss
from physics.mr.masks import make_mask


def test_maps_of_known_coils() -> None:
    from sigpy.mri import birdcage_maps

    shape, calib = (48, 56), 24
    true = torch.from_numpy(np.asarray(birdcage_maps((4, *shape)), np.complex64))
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    inside = (y[:, None] / 0.8) ** 2 + (x / 0.8) ** 2 < 1
    image = inside * (1 + 0.3 * torch.cos(9 * x) * torch.sin(7 * y)[:, None])
    maps = estimate_maps(fft2c(true * image)[None], calib)
    assert maps.shape == (1, 4, *shape)
    assert maps.dtype == torch.complex64
    power = rss(maps)[0]
    assert ((power - 1).abs() < 1e-4)[power > 0].all()
    core = (y[:, None] / 0.6) ** 2 + (x / 0.6) ** 2 < 1
    # Maps are known up to a phase per voxel: |<true, estimated>| = 1 where they are parallel.
    parallel = (true.conj() * maps[0]).sum(0).abs()
    assert float(parallel[core].min()) > 0.99


def test_maps_explain_an_undersampled_scan() -> None:
    from sigpy.mri import birdcage_maps

    shape = (48, 48)
    true = torch.from_numpy(np.asarray(birdcage_maps((4, *shape)), np.complex64))[None]
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    image = ((y[:, None] / 0.7) ** 2 + (x / 0.7) ** 2 < 1).to(torch.complex64)[None]
    mask = make_mask("gauss1d", shape, 2, 24).array
    data = CartesianMR(mask, true)(image)
    full = CartesianMR(torch.ones(shape, dtype=torch.bool), estimate_maps(data, 24))
    combined = full.adjoint(CartesianMR(torch.ones(shape, dtype=torch.bool), true)(image))
    assert float((combined.abs() - image.abs()).abs()[image.abs() > 0].mean()) < 0.02


def test_a_narrow_centre_gives_maps_wherever_there_is_signal() -> None:
    """All eigenvalues are low there, which do not mean that there is no signal."""
    from physics.mr.birdcage import birdcage_maps

    shape = (96, 80)
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    image = ((y[:, None] / 0.9) ** 2 + (x / 0.9) ** 2 < 1) * (1 + 0.3 * torch.cos(19 * x) * torch.sin(17 * y)[:, None])
    kspace = fft2c(birdcage_maps(8, shape) * image)[None]
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(0))
    power = rss(estimate_maps(kspace + 0.02 * noise, 9))[0]
    assert float((power[image > 0] > 0).float().mean()) > 0.95


def test_a_single_coil_is_uniform() -> None:
    maps = estimate_maps(torch.randn(2, 1, 8, 8, dtype=torch.complex64), 24)
    assert torch.equal(maps, torch.ones(2, 1, 8, 8, dtype=torch.complex64))


def test_an_empty_slice_has_no_maps() -> None:
    assert not estimate_maps(torch.zeros(1, 2, 32, 32, dtype=torch.complex64), 16).any()


def test_rss() -> None:
    coils = torch.tensor([3.0, 4.0]).reshape(2, 1, 1) * torch.exp(1j * torch.randn(5, 2, 6, 7))
    torch.testing.assert_close(rss(coils), torch.full((5, 6, 7), 5.0))


def test_normalise_leaves_zeros() -> None:
    maps = torch.randn(2, 3, 4, 4, dtype=torch.complex64)
    maps[..., 0] = 0
    power = rss(normalise(maps))
    torch.testing.assert_close(power[..., 1:], torch.ones(2, 4, 3))
    assert not power[..., 0].any()


@pytest.mark.parametrize(
    ("kspace", "calib", "message"),
    [
        (torch.zeros(2, 3, 8, 8), 8, "complex"),
        (torch.zeros(3, 8, 8, dtype=torch.complex64), 8, r"\(z, coils, y, x\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.complex64), 4, "fully sampled centre"),
        (torch.zeros(1, 3, 32, 20, dtype=torch.complex64), 24, "fully sampled centre"),
    ],
)
def test_refused(kspace: torch.Tensor, calib: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_maps(kspace, calib)
