"""Sensitivities of receive coils around a body, for simulated scans.

Each coil is a small loop, its axis towards the centre: in the plane through the loops, a magnetic dipole. What it
receives is the part of its field that turns with the spins, B₁⁻ = Bx − i By, so that neighbouring coils differ in phase
as those of a birdcage do.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.mr.coils import normalise

_RADIUS = 2.0
"""Distance of the coils from the centre, in half widths of the field of view."""

_DRAWN_RADII = (1.3, 2.2)
_DRAWN_SPREAD = 0.12
"""Largest relative difference of a coil's distance from that of its ring."""

_DRAWN_PLACE = 0.25
"""Largest difference of a coil's place from that of an even ring, in distances of neighbours."""

_DRAWN_GAIN = 0.4
"""Largest logarithm of a coil's gain, up and down."""

_NEAREST = 0.3
"""Distance, in half widths of the field of view, below which a coil's field does not grow: a loop is no point."""


@dataclass(frozen=True)
class CoilRing:
    """Receive coils around a field of view.

    Attributes:
        angles: the direction of each coil, in radians from the x axis.
        distances: the distance of each coil from the centre, in half widths of the field of view.
        gains: the complex factor of each coil's receiver.
    """

    angles: tuple[float, ...]
    distances: tuple[float, ...]
    gains: tuple[complex, ...]


def even_ring(coils: int) -> CoilRing:
    """Coils evenly spread on a circle, with equal receivers; ``ValueError`` for none."""
    if coils < 1:
        raise ValueError(f"`coils` {coils}: must be 1 or more")
    return CoilRing(tuple(2 * math.pi * n / coils for n in range(coils)), (_RADIUS,) * coils, (1.0 + 0.0j,) * coils)


def drawn_ring(coils: int, generator: torch.Generator) -> CoilRing:
    """Coils as scanners have them: nearer or farther, not quite evenly spread, with receivers that differ.

    Args:
        coils: number of coils.
        generator: the random numbers that are drawn.

    Raises:
        ValueError: no coil.
    """
    even = even_ring(coils)
    start, radius = torch.rand(2, generator=generator).tolist()
    place, spread, gain, phase = (2 * torch.rand((4, coils), generator=generator) - 1).tolist()
    low, high = _DRAWN_RADII
    between = 2 * math.pi / coils
    return CoilRing(
        tuple(angle + between * (start + _DRAWN_PLACE * off) for angle, off in zip(even.angles, place, strict=True)),
        tuple((low + (high - low) * radius) * (1 + _DRAWN_SPREAD * off) for off in spread),
        tuple(cmath.rect(math.exp(_DRAWN_GAIN * g), math.pi * p) for g, p in zip(gain, phase, strict=True)),
    )


def birdcage_maps(coils: int | CoilRing, shape: tuple[int, int]) -> Tensor:
    """Sensitivities of coils around the field of view.

    Args:
        coils: the ring of the coils; a number of coils stands for an even one on a circle.
        shape: (y, x) pixels of the field of view.

    Returns:
        (coils, y, x) complex64 with Σ|S|² = 1 everywhere; a single coil is uniform.

    Raises:
        ValueError: no coil.
    """
    ring = even_ring(coils) if isinstance(coils, int) else coils
    if len(ring.angles) == 1:
        return torch.ones((1, *shape), dtype=torch.complex64)
    y, x = ((torch.arange(size, dtype=torch.float64) + 0.5) * (2 / size) - 1 for size in shape)
    angle = torch.tensor(ring.angles, dtype=torch.float64)[:, None, None]
    radius = torch.tensor(ring.distances, dtype=torch.float64)[:, None, None]
    axis_x, axis_y = torch.cos(angle), torch.sin(angle)
    dx, dy = x - radius * axis_x, y[:, None] - radius * axis_y
    distance = torch.hypot(dx, dy).clamp_min(_NEAREST)
    along = 3 * (axis_x * dx + axis_y * dy) / distance**2
    field = torch.complex(along * dx - axis_x, axis_y - along * dy) / distance**3
    gains = torch.tensor(ring.gains, dtype=torch.complex128)[:, None, None]
    return normalise(gains * field).to(torch.complex64)
