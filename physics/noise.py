"""Measurement noise of transmission CT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MINIMUM_COUNT = 0.5
"""Counts below this, which electronic noise can bring below zero, are set to it before the logarithm."""


@dataclass(frozen=True)
class TransmissionNoise:
    """Poisson photons and Gaussian electronics.

    Attributes:
        photons: photons per detector cell and view without an object (I₀).
        electronic: standard deviation of the electronic noise, in photons.
    """

    photons: float
    electronic: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.photons <= 1e12:
            raise ValueError(f"photons per cell must be between 1 and 1e12, not {self.photons:g}")
        if not 0 <= self.electronic < self.photons:
            raise ValueError(
                f"electronic noise must be at least 0 and below the photons per cell, not {self.electronic:g}"
            )

    def describe(self) -> str:
        """The noise in words."""
        electronics = f", electronic noise of {self.electronic:g} photons" if self.electronic else ""
        return f"Poisson noise of {self.photons:g} photons per cell{electronics}"

    def apply(self, line_integrals: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noisy line integrals, and their standard deviation as :meth:`standard_deviation` estimates it.

        Counts are Poisson(I₀ e^−p) + N(0, electronic²); the data are p̂ = log(I₀ / counts).

        Args:
            line_integrals: p ≥ 0, any shape, dimensionless.
            generator: the source of randomness (CPU).

        Returns:
            p̂ and its standard deviation, both of the shape of ``line_integrals``.
        """
        expected = self.photons * torch.exp(-line_integrals.double().cpu())
        counts = torch.poisson(expected, generator=generator)
        if self.electronic:
            counts += self.electronic * torch.randn(counts.shape, generator=generator, dtype=counts.dtype)
        noisy = torch.log(self.photons / counts.clamp_min(MINIMUM_COUNT)).to(line_integrals)
        return noisy, self.standard_deviation(noisy)

    def standard_deviation(self, line_integrals: Tensor) -> Tensor:
        """Standard deviation of measured line integrals p̂: by the delta method, Var p̂ ≈ (c + electronic²) / c²
        at the measured counts c = I₀ e^−p̂, so that nothing of the noise-free data leaks into a reconstruction."""
        counts = self.photons * torch.exp(-line_integrals)
        return torch.sqrt(counts + self.electronic**2) / counts
