"""Sensitivities of receive coils around a body, for simulated scans.

Each coil is a small loop, its axis towards the centre: in the plane through the loops, a magnetic dipole. What it
receives is the part of its field that turns with the spins, B₁⁻ = Bx − i By, so that neighbouring coils differ in phase
as those of a birdcage do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from physics.mr.coils import normalise

_RADIUS = 2.0
"""Distance of the coils from the centre, in half widths of the field of view."""


def birdcage_maps(coils: int, shape: tuple[int, int]) -> Tensor:
    """Sensitivities of coils evenly spread on a circle around the field of view.

    Args:
        coils: number of coils.
        shape: (y, x) pixels of the field of view.

    Returns:
        (coils, y, x) complex64 with Σ|S|² = 1 everywhere; a single coil is uniform.

    Raises:
        ValueError: no coil.
    """
    if coils < 1:
        raise ValueError(f"`coils` {coils}: must be 1 or more")
    if coils == 1:
        return torch.ones((1, *shape), dtype=torch.complex64)
    y, x = ((torch.arange(size, dtype=torch.float64) + 0.5) * (2 / size) - 1 for size in shape)
    angle = 2 * math.pi * torch.arange(coils, dtype=torch.float64)[:, None, None] / coils
    axis_x, axis_y = torch.cos(angle), torch.sin(angle)
    dx, dy = x - _RADIUS * axis_x, y[:, None] - _RADIUS * axis_y
    distance = torch.hypot(dx, dy)
    along = 3 * (axis_x * dx + axis_y * dy) / distance**2
    field = torch.complex(along * dx - axis_x, axis_y - along * dy) / distance**3
    return normalise(field).to(torch.complex64)
