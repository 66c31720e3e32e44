"""Intensity scales, and the only place where one becomes another.

Hounsfield units, attenuation in 1/mm, and the network range [−1, 1]. Line integrals are taken of
attenuation, never of a network image: −1 outside the field of view would project as negative matter.
"""

from __future__ import annotations

from torch import Tensor

MU_WATER = 0.0192
"""Attenuation of water, 1/mm (about 70 keV)."""

CT_WINDOW = (-1000.0, 1000.0)
"""The fixed HU window that maps to the network range, and in which CT is scored."""

SOFT_TISSUE_WINDOW = (-160.0, 240.0)
"""The narrower HU window of the secondary CT metrics."""


def hu_to_attenuation(hu: Tensor) -> Tensor:
    """HU to attenuation in 1/mm; what lies below −1000 HU (padding) becomes air."""
    return (hu * (MU_WATER / 1000)).add_(MU_WATER).clamp_min_(0)


def attenuation_to_hu(attenuation: Tensor) -> Tensor:
    """Attenuation in 1/mm to HU."""
    return (attenuation * (1000 / MU_WATER)).sub_(1000)


def hu_to_network(hu: Tensor) -> Tensor:
    """HU to [−1, 1] by the fixed window, clipped."""
    low, high = CT_WINDOW
    return (hu.clamp(low, high) - low) * (2 / (high - low)) - 1


def network_to_hu(image: Tensor) -> Tensor:
    """[−1, 1] to HU, the inverse of :func:`hu_to_network` inside the window."""
    low, high = CT_WINDOW
    return (image + 1) * ((high - low) / 2) + low
