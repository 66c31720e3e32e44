"""Models of measurement noise: transmission CT, k-space, and noise of which nothing is known.

A model adds its noise to data without any, tells the standard deviation of measured data, describes itself in words and
in plain values. What is above asks no more of it, so that another model is one class here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

MINIMUM_COUNT = 0.5
"""Counts below this, which electronic noise can bring below zero, are set to it before the logarithm."""

Sigma = Tensor | float | None
"""Standard deviation of data: one for each datum, one for all, or None where it is unknown."""


class NoiseModel(ABC):
    """How data differ from what the operator says of the ground truth.

    Attributes:
        known: whether anything is known of the noise.
    """

    known: ClassVar[bool] = True

    @abstractmethod
    def apply(self, data: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Sigma]:
        """Noisy data, and their standard deviation as :meth:`standard_deviation` gives it.

        Args:
            data: data without noise, any shape.
            generator: source of randomness, on the CPU; torch's global one if None.
        """

    @abstractmethod
    def standard_deviation(self, data: Tensor) -> Sigma:
        """Standard deviation of measured data, from these alone, so that nothing of the ground truth leaks."""

    @abstractmethod
    def describe(self) -> str:
        """The noise in words, such as "Poisson noise of 10000 photons per cell"."""

    @abstractmethod
    def to_dict(self) -> dict[str, float] | None:
        """Plain values, the reverse of :func:`noise_from_dict`; None for unknown noise."""


@dataclass(frozen=True)
class TransmissionNoise(NoiseModel):
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

    def to_dict(self) -> dict[str, float] | None:
        """``photons`` and ``electronic``."""
        return {"photons": self.photons, "electronic": self.electronic}

    def apply(self, data: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Noisy line integrals, and their standard deviation as :meth:`standard_deviation` estimates it.

        Counts are Poisson(I₀ e^−p) + N(0, electronic²); the data are p̂ = log(I₀ / counts).

        Args:
            data: line integrals p ≥ 0, any shape, dimensionless.
            generator: source of randomness, on the CPU.

        Returns:
            p̂ and its standard deviation, both of the shape of ``data``.
        """
        expected = self.photons * torch.exp(-data.double().cpu())
        counts = torch.poisson(expected, generator=generator)
        if self.electronic:
            counts += self.electronic * torch.randn(counts.shape, generator=generator, dtype=counts.dtype)
        noisy = torch.log(self.photons / counts.clamp_min(MINIMUM_COUNT)).to(data)
        return noisy, self.standard_deviation(noisy)

    def standard_deviation(self, data: Tensor) -> Tensor:
        """Standard deviation of measured line integrals p̂: by the delta method, Var p̂ ≈ (c + electronic²) / c²
        at the measured counts c = I₀ e^−p̂, so that nothing of the noise-free data leaks into a reconstruction."""
        counts = self.photons * torch.exp(-data)
        return torch.sqrt(counts + self.electronic**2) / counts


@dataclass(frozen=True)
class ComplexGaussianNoise(NoiseModel):
    """White complex Gaussian noise, the same in every sample of k-space.

    Attributes:
        sigma: standard deviation per complex sample, E|n|² = sigma², in the unit of the data.
        std_of_maximum: the same over the largest magnitude of the image, where the noise is stated so; else None.
    """

    sigma: float
    std_of_maximum: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < float("inf"):
            raise ValueError(f"the noise standard deviation must not be negative, it is {self.sigma:g}")

    @classmethod
    def of_maximum(cls, std_of_maximum: float, maximum: float) -> ComplexGaussianNoise:
        """The noise whose standard deviation is stated over the largest magnitude of an image."""
        return cls(std_of_maximum * maximum, std_of_maximum)

    def describe(self) -> str:
        """The noise in words."""
        if self.std_of_maximum is None:
            return f"complex Gaussian noise of standard deviation {self.sigma:g} per sample"
        return f"complex Gaussian noise of {self.std_of_maximum:g} of the image's maximum"

    def to_dict(self) -> dict[str, float] | None:
        """``std_of_maximum`` where the noise is stated so, else ``sigma``."""
        return {"sigma": self.sigma} if self.std_of_maximum is None else {"std_of_maximum": self.std_of_maximum}

    def apply(self, data: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, float | None]:
        """Noisy complex data, every entry of them, and ``sigma``; what was not sampled is for the caller to mask."""
        noise = torch.randn(data.shape, dtype=data.dtype, generator=generator).to(data.device)
        return data + self.sigma * noise, self.standard_deviation(data)

    def standard_deviation(self, data: Tensor) -> float | None:
        """``sigma``, whatever the data; None where it is 0."""
        return self.sigma or None


@dataclass(frozen=True)
class UnknownNoise(NoiseModel):
    """Noise of which nothing is known: no standard deviation, and none is added."""

    known: ClassVar[bool] = False

    def apply(self, data: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, None]:
        """The data as they are."""
        return data, None

    def standard_deviation(self, data: Tensor) -> None:
        """None."""

    def describe(self) -> str:
        """The noise in words."""
        return "unknown noise"

    def to_dict(self) -> dict[str, float] | None:
        """None."""
        return None


def noise_from_dict(values: Any, maximum: float = 1.0) -> NoiseModel:
    """A noise model from plain values that a file or ``result.json`` holds.

    Args:
        values: the plain values that :meth:`NoiseModel.to_dict` gives, from a file that may hold anything.
        maximum: largest magnitude of the image, the unit of ``std_of_maximum``.

    Raises:
        ValueError: values that no model has.
    """
    if values is None:
        return UnknownNoise()
    try:
        if "std_of_maximum" in values:
            return ComplexGaussianNoise.of_maximum(float(values["std_of_maximum"]), maximum)
        if "sigma" in values:
            return ComplexGaussianNoise(float(values["sigma"]))
        return TransmissionNoise(float(values["photons"]), float(values.get("electronic", 0.0)))
    except (AttributeError, KeyError, TypeError):
        raise ValueError(
            f"its noise must state 'photons' and 'electronic', 'sigma' or 'std_of_maximum' as numbers, not {values!r}"
        ) from None
