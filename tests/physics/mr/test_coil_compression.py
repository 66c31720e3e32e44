"""Geometric coil compression: what it keeps, and that its virtual coils are smooth along the readout."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from physics.mr.cartesian import fft2c, ifft2c
from physics.mr.coil_compression import aligned, geometric
from physics.mr.coils import compressed


def coil_images(coils: int = 12) -> torch.Tensor:
    """(1, coils, y, x) images of a disc by coils with drawn smooth sensitivities."""
    y = torch.linspace(-1, 1, 48)
    disc = torch.sigmoid(20 * (0.8 - torch.hypot(y[:, None], y)))
    nodes = torch.randn(2, coils, 4, 4, generator=torch.Generator().manual_seed(0))
    real, imaginary = functional.interpolate(nodes, (48, 48), mode="bicubic", align_corners=True)
    return (disc * torch.complex(real, imaginary))[None]


@pytest.mark.parametrize("along_slices", [False, True])
def test_it_keeps_more_than_one_combination_for_all_and_no_noise_is_added(along_slices: bool) -> None:
    images = coil_images()
    # Places along the readout are the rows of the image, or, once transformed, slices of one row each.
    kspace = fft2c(images) if not along_slices else fft2c(images.transpose(0, 2))
    for count in (3, 4, 6):
        found, further = geometric(kspace, count, along_slices, kspace)
        assert found.shape[1] == count
        torch.testing.assert_close(found, further)
        assert float(found.norm()) <= float(kspace.norm()) * (1 + 1e-5)
        assert float(found.norm()) > float(compressed(kspace, count)[0].norm())
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, generator=torch.Generator().manual_seed(0))
    _, white = geometric(kspace, 4, along_slices, noise)
    assert white is not None
    assert float(white.abs().square().mean()) == pytest.approx(1, rel=0.05)


def test_all_coils_keep_every_image() -> None:
    images = coil_images(5)
    found, _ = geometric(fft2c(images), 5, along_slices=False)
    rss = ifft2c(found).abs().square().sum(1).sqrt()
    torch.testing.assert_close(rss, images.abs().square().sum(1).sqrt(), rtol=1e-4, atol=1e-4)


def test_combinations_of_neighbouring_places_are_turned_to_agree() -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(2, 9, dtype=torch.complex128, generator=generator)
    drift = torch.randn(2, 9, dtype=torch.complex128, generator=generator)
    smooth = torch.linalg.qr((start + torch.linspace(0, 0.5, 20)[:, None, None] * drift).mH)[0].mH
    mixed = torch.linalg.qr(torch.randn(20, 2, 2, dtype=torch.complex128, generator=generator))[0] @ smooth
    found = aligned(mixed)
    torch.testing.assert_close(found @ found.mH, torch.eye(2, dtype=torch.complex128).expand(20, 2, 2))
    torch.testing.assert_close(found.mH @ found, mixed.mH @ mixed)  # they span what they spanned
    assert float((found[1:] - found[:-1]).norm()) < 0.1 * float((mixed[1:] - mixed[:-1]).norm())


@pytest.mark.parametrize("count", [0, 6])
def test_more_coils_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 5 are possible"):
        geometric(fft2c(coil_images(5)), count, along_slices=False)
