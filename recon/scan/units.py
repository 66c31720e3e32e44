"""Intensity scales, and the only place where one becomes another.

Hounsfield units, attenuation in 1/mm, and the network range [−1, 1]. Line integrals are taken of
attenuation, never of a network image: −1 outside the field of view would project as negative matter.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

CTUnit = Literal["HU", "1/cm", "none"]
"""Unit of a CT result: Hounsfield units; attenuation in 1/cm; attenuation times the width of a voxel, which has no unit
and does not depend on how lengths were stated."""

MU_WATER = 0.0192
"""Attenuation of water, 1/mm (about 70 keV)."""

CT_WINDOW = (-1000.0, 1000.0)
"""The fixed HU window that maps to the network range, and in which CT is scored."""

ATTENUATION_UNIT = MU_WATER * (CT_WINDOW[1] - CT_WINDOW[0]) / 1000
"""What unrolled networks and diffusion priors call 1, in 1/mm: the attenuation of +1000 HU (air is 0)."""

SOFT_TISSUE_WINDOW = (-160.0, 240.0)
"""The narrower HU window of the secondary CT metrics."""


def hu_to_attenuation(hu: Tensor) -> Tensor:
    """HU to attenuation in 1/mm; what lies below −1000 HU (padding) becomes air."""
    return (hu * (MU_WATER / 1000)).add_(MU_WATER).clamp_min_(0)


def attenuation_to_hu(attenuation: Tensor) -> Tensor:
    """Attenuation in 1/mm to HU."""
    return (attenuation * (1000 / MU_WATER)).sub_(1000)


def attenuation_in(unit: CTUnit, attenuation: Tensor, pixel: float) -> Tensor:
    """Attenuation in 1/mm in the unit of a result; ``pixel`` is the width of a voxel in mm."""
    if unit == "HU":
        return attenuation_to_hu(attenuation)
    return attenuation * (10.0 if unit == "1/cm" else pixel)


def hu_to_network(hu: Tensor) -> Tensor:
    """HU to [−1, 1] by the fixed window, clipped."""
    low, high = CT_WINDOW
    return (hu.clamp(low, high) - low) * (2 / (high - low)) - 1


def network_to_hu(image: Tensor) -> Tensor:
    """[−1, 1] to HU, the inverse of :func:`hu_to_network` inside the window."""
    low, high = CT_WINDOW
    return (image + 1) * ((high - low) / 2) + low


def network_to_magnitude(image: Tensor) -> Tensor:
    """[−1, 1] to the magnitude [0, 1] that MR networks were trained on, volume by volume."""
    return (image + 1) / 2


def network_spread_to_attenuation(spread: Tensor) -> Tensor:
    """A standard deviation in the network range as one in 1/mm."""
    low, high = CT_WINDOW
    return spread * ((high - low) / 2 * MU_WATER / 1000)


def magnitude_to_network(magnitude: Tensor, scale: float) -> Tensor:
    """Magnitude to [−1, 1]: 0 to −1, ``scale`` and above to 1."""
    return (magnitude / scale).clamp(0, 1) * 2 - 1


def magnitude_scale(magnitude: Tensor) -> float:
    """The magnitude that networks call 1: the 99.9th percentile, which a few bright voxels do not move.

    Raises:
        ValueError: nothing but zeros.
    """
    flat = magnitude.detach().flatten()
    scale = float(flat.kthvalue(max(1, math.ceil(0.999 * flat.numel()))).values)
    if scale <= 0:
        raise ValueError("the magnitude is zero almost everywhere")
    return scale
