"""Regularisation weights that follow from the data and their noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recon.scan.measurement import Measurement
from recon.solvers.slabs import zero_filled


@dataclass(frozen=True)
class Weight:
    """A regularisation weight.

    Attributes:
        relative: λ / max|Aᴴy|.
        absolute: λ, in the image's unit.
    """

    relative: float
    absolute: float


def relative_to_peak(measurement: Measurement, weight: float | None, noise_free: float, noise_factor: float) -> Weight:
    """The weight the user chose (relative to max|Aᴴy|), or else ``noise_factor`` · σ but at least ``noise_free``."""
    peak = _largest(zero_filled(measurement))
    if weight is None:
        weight = max(noise_free, noise_factor * measurement.noise_level / peak) if peak > 0 else noise_free
    return Weight(weight, weight * peak)


def _largest(x: Tensor) -> float:
    """max|x| of a complex tensor."""
    return float(torch.hypot(x.real, x.imag).amax())
