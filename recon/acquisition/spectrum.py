"""CT with an X-ray tube's spectrum: beams that harden, and the correction that scanners make for water.

A body attenuates soft photons more than hard ones, so that what a polychromatic beam transmits is no exponential of its
path: −log of it grows more slowly than the path does (cupping, and streaks between bones). The body is taken for a
mixture of water and bone (Joseph & Spital 1978, J Comput Assist Tomogr 2:100), whose line integrals p_w and p_b at the
energy of the result give the transmitted share of the energy

    I = Σ_k s_k exp(−p_w μ_w(E_k)/μ_w − p_b μ_b(E_k)/μ_b).

Scanners correct their data so that water is right: what they report is the p_w for which water alone transmits as much.
Bone then leaves its own error, as it does in a real scan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from physics.noise import Sigma
from recon.errors import InputError
from recon.scan.units import MU_WATER, attenuation_to_hu

INSTALL = "pip install spekpy"

LOWEST_KV, HIGHEST_KV = 40.0, 150.0
"""Tube voltages of body CT, and a little beyond."""

_ANODE_ANGLE, _ALUMINIUM = 10.0, 7.0
"""Tungsten anode, degrees; filtration, mm of aluminium: about that of clinical CT."""

_ENERGY_STEP = 2.0
"""keV; steps of 1 keV change no line integral of water or bone by more than 0.1 %."""

_LEAST_SHARE = 1e-6
"""Bins with less than this share of the largest bin's energy are left out."""

_LAYER = 0.1
"""mm of a material, whose transmission tells its attenuation."""

_WATER, _BONE = "Water, Liquid", "Bone, Cortical (ICRU)"
_ONLY_WATER, _ONLY_BONE = 100.0, 1500.0
"""HU up to which a voxel is water of some density, and from which on it is bone; between them a mixture."""

_LONGEST = 30.0
"""Line integral at which the correction's table ends; it goes on in a straight line."""

_TABLE = 4096


@dataclass(frozen=True)
class Spectrum:
    """What a detector sees of an X-ray beam without a body, and what water and bone do to it.

    Attributes:
        share: the share of the detected energy in each bin of photon energies; their sum is 1.
        water: attenuation of water in each bin over that at the energy of the result.
        bone: attenuation of bone in each bin over that at the energy of the result.
        description: the spectrum in words.
    """

    share: tuple[float, ...]
    water: tuple[float, ...]
    bone: tuple[float, ...]
    description: str = field(compare=False, default="a spectrum")

    def __post_init__(self) -> None:
        bins = {len(self.share), len(self.water), len(self.bone)}
        if len(bins) != 1 or not self.share or abs(sum(self.share) - 1) > 1e-3:
            raise ValueError("share, water and bone must have one number an energy bin, and the shares a sum of 1")
        if min(*self.water, *self.bone) <= 0 or min(self.share) <= 0:
            raise ValueError("attenuations and shares must be above 0")

    def materials(self, attenuation: Tensor) -> Tensor:
        """Water and bone, the attenuation of each in 1/mm at the energy of the result, one after the other.

        Args:
            attenuation: (z, y, x) of the body in 1/mm, at the energy of the result.

        Returns:
            (2z, y, x); water and bone add up to the attenuation of the body.
        """
        hu = attenuation_to_hu(attenuation.clone())
        bone = ((hu - _ONLY_WATER) / (_ONLY_BONE - _ONLY_WATER)).clamp(0, 1) * attenuation
        return torch.cat([attenuation - bone, bone])

    def transmission(self, line_integrals: Tensor) -> Tensor:
        """The transmitted share of the energy, (n, …), of line integrals of water and then bone, (2n, …)."""
        water, bone = line_integrals.chunk(2)
        total = torch.zeros_like(water)
        for share, of_water, of_bone in zip(self.share, self.water, self.bone, strict=True):
            total += share * torch.exp(-(of_water * water + of_bone * bone))
        return total

    def corrected(self, data: Tensor, sigma: Sigma) -> tuple[Tensor, Sigma]:
        """Data as a scanner reports them: the line integrals of water that transmits as much.

        Args:
            data: −log of the transmitted energy, any shape, noise included.
            sigma: their standard deviation, which the correction stretches as it does the data.
        """
        paths, reported = self._water_table()
        slopes, values = np.gradient(paths, reported), data.double().cpu().numpy()
        slope = np.interp(values, reported, slopes)
        beyond = values - values.clip(reported[0], reported[-1])  # noise in air, and what lies beyond the table
        found = torch.from_numpy(np.interp(values, reported, paths) + slope * beyond).to(data)
        return found, None if sigma is None else sigma * torch.from_numpy(slope).to(data)

    def _water_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Line integrals of water, ascending, and −log of what it then transmits."""
        paths = np.linspace(0.0, _LONGEST, _TABLE)
        exponents = np.log(self.share) - np.outer(paths, self.water)
        return paths, np.log(sum(self.share)) - np.logaddexp.reduce(exponents, axis=1)


@lru_cache(maxsize=4)
def tube_spectrum(voltage: float) -> Spectrum:
    """The spectrum of a tungsten tube behind aluminium, as an energy-integrating detector sees it.

    Args:
        voltage: tube voltage in kV.

    Raises:
        InputError: a voltage that no CT scanner has, or spekpy is not installed.
    """
    if not LOWEST_KV <= voltage <= HIGHEST_KV:
        raise InputError(f"`spectrum` {voltage:g}: must be a tube voltage from {LOWEST_KV:g} to {HIGHEST_KV:g} kV")
    try:
        import spekpy
    except ImportError as error:
        raise InputError(f"`spectrum`: needs spekpy, which is not installed; {INSTALL}") from error
    tube = spekpy.Spek(kvp=voltage, th=_ANODE_ANGLE, dk=_ENERGY_STEP)
    tube.filter("Al", _ALUMINIUM)
    energies, fluence = (np.asarray(each, float) for each in tube.get_spectrum())
    energy = energies * fluence
    seen = energy > _LEAST_SHARE * energy.max()
    of_water, of_bone = _attenuations(spekpy)
    at_result = float(np.interp(-MU_WATER, -of_water[1], of_water[0]))
    shares, mean = energy[seen] / energy[seen].sum(), np.average(energies, weights=energy)
    return Spectrum(
        tuple(shares.tolist()),
        tuple((_at(energies[seen], of_water) / _at(at_result, of_water)).tolist()),
        tuple((_at(energies[seen], of_bone) / _at(at_result, of_bone)).tolist()),
        f"a spectrum of {voltage:g} kV (tungsten, {_ALUMINIUM:g} mm of aluminium, mean energy {mean:.0f} keV), data "
        "corrected for the hardening by water",
    )


def _attenuations(spekpy: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photon energies in keV and the attenuation in 1/mm, of water and of bone: what thin layers take off a beam."""
    beam = spekpy.Spek(kvp=HIGHEST_KV, th=_ANODE_ANGLE, dk=_ENERGY_STEP)
    energies, before = (np.asarray(each, float) for each in beam.get_spectrum())
    found = []
    for material in (_WATER, _BONE):
        behind = spekpy.Spek.clone(beam)
        behind.filter(material, _LAYER)
        after = np.asarray(behind.get_spectrum()[1], float)
        usable = (before > 0) & (after > 0)
        found.append((energies[usable], np.log(before[usable] / after[usable]) / _LAYER))
    return found


def _at(energies: np.ndarray | float, table: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The attenuation at some energies, straight between logarithms."""
    values: np.ndarray = np.exp(np.interp(np.log(energies), np.log(table[0]), np.log(table[1])))
    return values
