"""Beams of many energies: water is right after the correction, bone is not, as on a real scanner."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from physics.ct.fbp import fbp
from physics.ct.finite_cells import readings
from physics.ct.geometry import ImageGrid, ParallelBeam
from physics.noise import TransmissionNoise
from recon.acquisition.continuous import Scanner, scan_continuous
from recon.acquisition.spectrum import Spectrum, tube_spectrum
from recon.errors import InputError
from recon.scan.units import MU_WATER, attenuation_to_hu
from recon.scan.volume import Volume

BEAM = Spectrum((0.3, 0.4, 0.3), (1.4, 1.0, 0.85), (2.2, 1.0, 0.7), "three energies")
GEOMETRY = ParallelBeam(tuple(np.pi * np.arange(90) / 90), 4.0, 80, 0.0)
SIZE, PIXEL = 64, 4.0
GRID = ImageGrid((SIZE, SIZE), (PIXEL, PIXEL))


def disc(radius: float, x: float = 0.0) -> Tensor:
    """(y, x) bool, a disc in the middle of the rows, mm."""
    place = (torch.arange(SIZE) - (SIZE - 1) / 2) * PIXEL
    return place[:, None].square() + (place - x).square() <= radius**2


def body(bones: bool) -> Volume:
    """A cylinder of water with a radius of 100 mm in air, and two bones 100 mm apart in it."""
    hu = torch.full((1, SIZE, SIZE), -1000.0)
    hu[0, disc(100)] = 0.0
    if bones:
        hu[0, disc(14, -50) | disc(14, 50)] = 1500.0
    return Volume(hu, np.diag([PIXEL, PIXEL, 5.0, 1.0]), "CT")


def image(volume: Volume, scanner: Scanner) -> Tensor:
    """(y, x) HU by filtered backprojection of a scan of a volume."""
    measurement = scan_continuous(volume, GEOMETRY, scanner=scanner).measurement
    return attenuation_to_hu(fbp(measurement.y, GEOMETRY, GRID))[0]


def test_a_cylinder_of_water_is_flat_after_the_correction():
    flat, hardened = image(body(False), Scanner()), image(body(False), Scanner(spectrum=BEAM))
    assert float((hardened - flat)[disc(90)].abs().max()) < 8
    assert float((hardened - flat)[disc(90)].mean().abs()) < 1


def test_without_the_correction_it_is_cupped():
    attenuation = torch.where(disc(100), MU_WATER, 0.0)[None]
    raw = readings(BEAM.materials(attenuation), GEOMETRY, GRID, Scanner().aperture, BEAM.transmission)
    cupped = attenuation_to_hu(fbp(raw, GEOMETRY, GRID))[0]
    assert float(cupped[disc(15)].mean() - cupped[disc(88) & ~disc(78)].mean()) < -25


def test_between_bones_a_dark_streak_remains():
    clean, hardened = image(body(True), Scanner()), image(body(True), Scanner(spectrum=BEAM))
    place = (torch.arange(SIZE) - (SIZE - 1) / 2) * PIXEL
    across, along = place[:, None].abs(), place.abs()
    streak, beside = (across < 8) & (along < 25), (across > 40) & (across < 60) & (along < 25)
    assert float((hardened - clean)[streak].mean() - (hardened - clean)[beside].mean()) < -15


def test_the_correction_is_the_inverse_for_water():
    paths = torch.linspace(0, 12, 50)[:, None]
    raw = -torch.log(BEAM.transmission(torch.cat([paths, torch.zeros_like(paths)])))
    found, _ = BEAM.corrected(raw, None)
    assert torch.allclose(found, paths, atol=1e-3)


def test_the_deviation_is_stretched_as_the_data_are():
    raw = torch.tensor([-0.05, 0.0, 1.0, 4.0, 9.0, 40.0])
    found, sigma = BEAM.corrected(raw, torch.full_like(raw, 0.01))
    ahead, _ = BEAM.corrected(raw + 1e-2, None)
    assert isinstance(sigma, Tensor)
    assert torch.allclose(sigma, ahead - found, rtol=0.02)
    assert bool((found.diff() > 0).all())


def test_noise_is_that_of_the_measurement_and_the_scan_says_what_it_was():
    volume, scanner = body(True), Scanner(spectrum=BEAM)
    clean = scan_continuous(volume, GEOMETRY, scanner=scanner).measurement
    noisy = scan_continuous(volume, GEOMETRY, scanner=scanner, noise=TransmissionNoise(1e4)).measurement
    assert float(((noisy.y - clean.y) / noisy.sigma).std()) == pytest.approx(1, abs=0.05)
    assert "three energies" in " ".join(noisy.protocol.sentences)


def test_materials_add_up_to_the_body_and_bone_begins_above_soft_tissue():
    hu = torch.tensor([-1000.0, -100.0, 60.0, 100.0, 800.0, 1500.0, 3000.0])
    attenuation = (MU_WATER * (1 + hu / 1000))[None, None]
    water, bone = (each.flatten() for each in BEAM.materials(attenuation))
    assert torch.allclose(water + bone, attenuation.flatten())
    assert not bone[:4].any()
    assert 0 < float(bone[4] / attenuation[0, 0, 4]) < 1
    assert float(water[5:].abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (((0.5, 0.5), (1.0,), (1.0, 1.0)), "one number an energy bin"),
        (((0.5, 0.2), (1.0, 1.0), (1.0, 1.0)), "a sum of 1"),
        (((0.5, 0.5), (1.0, 0.0), (1.0, 1.0)), "above 0"),
    ],
)
def test_impossible_spectra_are_refused(values: tuple[tuple[float, ...], ...], reason: str):
    with pytest.raises(ValueError, match=reason):
        Spectrum(*values)


@pytest.mark.parametrize("voltage", [0.0, 30.0, 500.0, float("nan")])
def test_voltages_of_no_scanner_are_refused(voltage: float):
    with pytest.raises(InputError, match=r"`spectrum` .*from 40 to 150 kV"):
        tube_spectrum(voltage)


def test_without_spekpy_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "spekpy", None)
    with pytest.raises(InputError, match=r"^`spectrum`: needs spekpy, which is not installed; pip install spekpy$"):
        tube_spectrum(91.0)


def test_a_tube_hardens_as_published():
    """Mass attenuation of water and cortical bone by NIST (Hubbell & Seltzer): 0.2059 and 0.3148 cm²/g at 60 keV."""
    pytest.importorskip("spekpy")
    beam, softer = tube_spectrum(120.0), tube_spectrum(80.0)
    assert "120 kV" in beam.description
    shares, water, bone = (np.array(each) for each in (beam.share, beam.water, beam.bone))
    nearest = int(np.abs(water - 0.02059 / MU_WATER).argmin())
    assert bone[nearest] / water[nearest] == pytest.approx(0.3148 * 1.92 / 0.2059 / (0.0489 / MU_WATER), rel=0.03)
    assert float(shares @ water) < float(np.array(softer.share) @ np.array(softer.water))
