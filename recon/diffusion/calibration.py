"""Calibrated standard deviations: their intervals contain the ground truth as often as they claim.

What a few samples and their changes tell (:func:`recon.diffusion.uncertainty.uncertainty`) knows where a result
is unsure, but not of what all samples miss. On validation cases a factor and a floor are chosen,
σ = √((factor · spread)² + floor²), such that Gaussian intervals contain the ground truth as often as they should. Each
kind of scan has its own two, since noise and the ghosts of one-dimensional masks are errors that no change of an image
tells of. They are written into the card of the head that made the samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from torch import Tensor

from recon.metrics import body_masks
from recon.scan.units import CT_WINDOW
from recon.scan.volume import Modality

LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95)
"""Of the intervals that are reported."""

_FITTED = (0.9, 0.5)
"""A factor gives the first, the floor comes nearest to the second."""

_FLOORS = 24
_STEPS = 30


@dataclass(frozen=True)
class Calibration:
    """From the spread of samples to a standard deviation, network range.

    Attributes:
        factor: the factor on the spread.
        floor: what is left where samples agree.
    """

    factor: float = 1.0
    floor: float = 0.0

    def apply(self, spread: Tensor, unit: float) -> Tensor:
        """The standard deviation of a spread whose unit is ``unit`` for one of the network range."""
        return ((self.factor * spread).square() + (self.floor * unit) ** 2).sqrt()

    def to_dict(self) -> dict[str, float]:
        """For a card."""
        return {"factor": self.factor, "floor": self.floor}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """From a card.

        Raises:
            ValueError: not two numbers, 0 or more.
        """
        try:
            factor, floor = float(values["factor"]), float(values["floor"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no calibration: {values!r}") from error
        if not (math.isfinite(factor) and math.isfinite(floor)) or min(factor, floor) < 0:
            raise ValueError(f"no calibration: {values!r}")
        return cls(factor, floor)


@dataclass(frozen=True)
class Calibrations:
    """A head's calibrations.

    Attributes:
        by_kind: the calibration of each kind of scan, as the head's task names it.
    """

    by_kind: Mapping[str, Calibration]

    def of(self, kind: str) -> Calibration:
        """The kind's own; for one that was not calibrated, the most careful of the others."""
        return self.by_kind.get(kind) or max(self.by_kind.values(), key=lambda each: (each.factor, each.floor))

    def to_dict(self) -> dict[str, dict[str, float]]:
        """For a card."""
        return {kind: each.to_dict() for kind, each in self.by_kind.items()}

    @classmethod
    def from_dict(cls, values: Any) -> Calibrations:
        """From a card.

        Raises:
            ValueError: no calibrations by kind.
        """
        if not isinstance(values, Mapping) or not values or not all(isinstance(v, Mapping) for v in values.values()):
            raise ValueError(f"no calibration: {values!r}")
        return cls({str(kind): Calibration.from_dict(each) for kind, each in values.items()})


def in_body(truth: np.ndarray, modality: Modality) -> np.ndarray:
    """The voxels of the patient, as for ``psnr_body``."""
    return np.stack(list(body_masks(truth, modality)))


def coverage(
    truth: np.ndarray, mean: np.ndarray, deviation: np.ndarray, modality: Modality, levels: Sequence[float] = LEVELS
) -> dict[float, float]:
    """Share of the patient's voxels with the ground truth in the interval of each level; NaN where there is no patient.

    Args:
        truth, mean, deviation: (z, y, x), HU or magnitude.
        modality: CT counts values outside the window [-1000, 1000] HU as its ends, as its metrics do.
        levels: nominal shares.
    """
    body = in_body(truth, modality)
    wanted, found = truth[body], mean[body]
    if modality == "CT":
        wanted, found = wanted.clip(*CT_WINDOW), found.clip(*CT_WINDOW)
    ratio = np.abs(wanted - found) / np.maximum(deviation[body], np.finfo(np.float32).tiny)
    return {level: float((ratio <= _width(level)).mean()) if ratio.size else math.nan for level in levels}


def fit(errors: np.ndarray, spreads: np.ndarray) -> Calibration:
    """The calibration of voxels' errors and spreads, network range, one number a voxel each.

    Raises:
        ValueError: no voxel, or arrays of different sizes.
    """
    if errors.shape != spreads.shape or not errors.size:
        raise ValueError(
            f"errors {errors.shape} and spreads {spreads.shape}; as many of both, at least one, are wanted"
        )
    sizes = np.abs(errors).astype(np.float64)
    top = float(np.quantile(sizes, 0.95)) or 1e-6
    candidates = [_with_floor(sizes, spreads, floor) for floor in np.linspace(0, top, _FLOORS)]
    _, best = min(candidates, key=lambda pair: pair[0])
    return best


def _with_floor(sizes: np.ndarray, spreads: np.ndarray, floor: float) -> tuple[float, Calibration]:
    """The factor that suits a floor, and how far the two levels are from what they should be."""
    low, high = 0.0, 1.0
    while high < 1e4 and _held(sizes, spreads, high, floor, _FITTED[0]) < _FITTED[0]:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _held(sizes, spreads, middle, floor, _FITTED[0]) < _FITTED[0] else (low, middle)
    misses = (abs(_held(sizes, spreads, high, floor, level) - level) for level in _FITTED)
    return sum(misses), Calibration(high, float(floor))


def _held(sizes: np.ndarray, spreads: np.ndarray, factor: float, floor: float, level: float) -> float:
    return float((sizes <= _width(level) * np.sqrt((factor * spreads) ** 2 + floor**2)).mean())


def _width(level: float) -> float:
    """Of the half interval, in standard deviations."""
    return float(stats.norm.ppf(0.5 + level / 2))
