"""The noise of MR scans, estimated from drawn scans of known noise."""

from __future__ import annotations

import pytest
import torch

from physics.mr.cartesian import simulate_kspace
from physics.mr.masks import make_mask
from physics.mr.phase import smooth_phase
from physics.noise import ComplexGaussianNoise
from recon.acquisition.noise_mr import is_noise, kspace_noise, noise_covariance, prewhitened, prewhitening

_SHAPE = (160, 144)


def _image(slices: int = 2) -> torch.Tensor:
    """Ellipses of smooth tissue with a smooth phase."""
    y, x = (torch.linspace(-1, 1, size) for size in _SHAPE)
    body = torch.zeros(_SHAPE)
    for cy, cx, ry, rx, value in ((0, 0, 0.8, 0.7, 0.5), (0.2, 0.1, 0.3, 0.2, 0.4), (-0.3, -0.2, 0.15, 0.25, 0.3)):
        inside = 1 - ((y[:, None] - cy) / ry) ** 2 - ((x - cx) / rx) ** 2
        body += value * torch.sigmoid(25 * inside)
    phase = smooth_phase((slices, *_SHAPE), 1.0, torch.Generator().manual_seed(1))
    return torch.polar(body.expand(slices, -1, -1).contiguous(), phase)


def _maps(coils: int) -> torch.Tensor | None:
    if coils == 1:
        return None
    drawn = [smooth_phase((1, *_SHAPE), 1.0, torch.Generator().manual_seed(k)) for k in range(2 * coils)]
    maps = torch.stack([torch.complex(a[0], b[0]) for a, b in zip(drawn[::2], drawn[1::2], strict=True)])
    return (maps / maps.abs().square().sum(0).sqrt()).expand(2, -1, -1, -1).contiguous()


@pytest.mark.parametrize("coils", [1, 8])
@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.3])
@pytest.mark.parametrize(("kind", "accel"), [("full", 1.0), ("gauss1d", 4.0), ("poisson", 6.0)])
def test_the_deviation_is_right_within_15_percent(coils, sigma, kind, accel):
    mask = torch.ones(_SHAPE, dtype=torch.bool) if kind == "full" else make_mask(kind, _SHAPE, accel).array
    y = simulate_kspace(_image(), mask, _maps(coils), ComplexGaussianNoise(sigma), torch.Generator().manual_seed(2))
    assert kspace_noise(y, mask) == pytest.approx(sigma, rel=0.15)
    assert kspace_noise(y) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("kind", ["full", "gauss1d", "poisson"])
def test_signal_is_not_taken_for_noise(kind):
    """Where the image is above the noise out to the edge of k-space, the noise is unknown rather than too large."""
    mask = torch.ones(_SHAPE, dtype=torch.bool) if kind == "full" else make_mask(kind, _SHAPE, 4.0).array
    for sigma in (0.0, 1e-4, 1e-3, 1e-2):
        found = kspace_noise(
            simulate_kspace(_image(), mask, None, ComplexGaussianNoise(sigma), torch.Generator().manual_seed(2)), mask
        )
        assert found is None or found == pytest.approx(sigma, rel=0.15)


def test_samples_that_a_scanner_filled_with_zeros_are_no_noise():
    y = simulate_kspace(
        _image(),
        torch.ones(_SHAPE, dtype=torch.bool),
        None,
        ComplexGaussianNoise(0.02),
        torch.Generator().manual_seed(2),
    )
    y[..., :, 120:] = 0
    y[..., 140:, :] = 0
    assert kspace_noise(y, torch.ones(_SHAPE, dtype=torch.bool)) == pytest.approx(0.02, rel=0.15)


def test_too_few_samples_are_unknown():
    assert kspace_noise(torch.ones(1, 1, 4, 4, dtype=torch.complex64)) is None


def test_prewhitened_noise_is_white():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 4, dtype=torch.complex64, generator=generator)
    readouts = mixing @ torch.randn(4, 20000, dtype=torch.complex64, generator=generator)
    covariance = noise_covariance(readouts)
    assert torch.allclose(
        covariance, (mixing @ mixing.conj().T).to(covariance), atol=0.05 * float(covariance.abs().max())
    )
    white = prewhitened(readouts.reshape(1, 4, 100, 200), covariance).reshape(4, -1)
    assert torch.allclose(noise_covariance(white), torch.eye(4, dtype=torch.complex128), atol=1e-3)
    with pytest.raises(ValueError, match="more than 4 samples"):
        noise_covariance(readouts[:, :4])


def test_readouts_that_repeat_one_another_are_no_noise() -> None:
    random = torch.Generator().manual_seed(0)
    noise = torch.complex(*torch.randn(2, 4, 200, generator=random))
    assert is_noise(noise)
    for bad in (torch.full_like(noise, 9.0), noise[:1].expand(4, -1), torch.zeros_like(noise), noise * torch.nan):
        assert not is_noise(bad)
        assert prewhitening(bad) is None
    silent = noise.clone()
    silent[2] = 0
    assert prewhitening(silent) is None
