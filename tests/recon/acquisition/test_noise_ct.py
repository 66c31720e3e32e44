"""The noise of CT scans, estimated from drawn scans of known noise."""

from __future__ import annotations

import pytest
import torch

from datasets.sets.phantom import PhantomSet, voxels
from physics.ct.geometry import FanBeam, ImageGrid, circular_angles
from physics.ct.projector import CTProjector
from physics.noise import TransmissionNoise
from recon.acquisition.noise_ct import estimate_noise
from recon.scan.units import hu_to_attenuation

_ANATOMIES = ("torso", "head", "limbs")
_GRID = ImageGrid((64, 64), (6.0, 6.0))


@pytest.fixture(scope="module")
def line_integrals():
    """Noise-free sinograms (2, views, cells) of an anatomy, made once each."""
    known: dict[tuple[str, int], torch.Tensor] = {}
    projectors: dict[int, CTProjector] = {}

    def of(anatomy: str, views: int) -> torch.Tensor:
        if views not in projectors:
            projectors[views] = CTProjector(FanBeam(circular_angles(views), pitch=2.5), _GRID, slices=2)
        if (anatomy, views) not in known:
            cases = PhantomSet(count=1, seed=3, size=(8, 64, 64), spacing=(5.0, 6.0, 6.0), anatomy=anatomy).cases()
            slices = hu_to_attenuation(torch.from_numpy(voxels(cases[0])[0][3:5]).float())
            known[anatomy, views] = projectors[views](slices)
        return known[anatomy, views]

    return of


@pytest.mark.parametrize("anatomy", _ANATOMIES)
@pytest.mark.parametrize("views", [40, 120, 360])
def test_the_deviation_is_right_within_15_percent(line_integrals, anatomy, views):
    clean = line_integrals(anatomy, views)
    for number, photons in enumerate((1e3, 1e4, 1e5, 1e6)):
        noisy, _ = TransmissionNoise(photons).apply(clean, torch.Generator().manual_seed(number))
        found = estimate_noise(noisy)
        assert found is not None, photons
        assert (photons / found.noise.photons) ** 0.5 == pytest.approx(1, abs=0.15), photons


@pytest.mark.parametrize("anatomy", _ANATOMIES)
def test_noise_free_data_have_no_noise_to_be_seen(line_integrals, anatomy):
    assert estimate_noise(line_integrals(anatomy, 40)) is None


def test_data_without_noise_or_too_few_are_unknown():
    cells = torch.arange(400) / 400
    waves = [3 + torch.sin(40 * cells * (1 + view / 40)) * (1 + cells) for view in range(40)]
    assert estimate_noise(torch.stack(waves)[None]) is None
    assert estimate_noise(torch.rand(1, 2, 20)) is None
    assert estimate_noise(torch.zeros(2, 40, 200)) is None


def test_correlated_cells_are_told_by_the_views():
    """A scintillator that spreads light makes neighbours alike; views remain independent."""
    white = torch.randn(4, 60, 402, generator=torch.Generator().manual_seed(0))
    alike = 1e-2 * (white[..., :-2] + white[..., 1:-1] + white[..., 2:]) / 3**0.5
    found = estimate_noise(alike)
    assert found is not None
    assert found.source == "views"
    assert found.noise.photons**-0.5 == pytest.approx(1e-2, rel=0.15)
