"""Ellipsoids and their exact line integrals: bodies of which every reading and every voxel is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.views import ConeGeometry


@dataclass(frozen=True)
class Ellipsoid:
    """A uniform ellipsoid whose axes are those of the room; where several overlap, their values add up.

    Attributes:
        centre: (x, y, z) in mm.
        radii: half axes along x, y and z in mm.
        value: attenuation in 1/mm.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    value: float


def ellipsoid_line_integrals(bodies: Sequence[Ellipsoid], geometry: ConeGeometry) -> Tensor:
    """(rows, views, cells) float32 exact line integrals.

    In coordinates in which an ellipsoid is the unit ball, a ray that passes its centre at the distance d < 1 is inside
    for 2 √(1 − d²), times what a unit there is in mm.
    """
    rays, (rows, views, cells) = geometry.rays(), geometry.scan_shape
    found = np.zeros((rows, views, cells), np.float32)
    for row in range(rows):
        direction = rays.columns + row * rays.steps[:, None] - rays.sources[:, None]
        length = np.linalg.norm(direction, axis=-1)
        for body in bodies:
            along = direction / np.asarray(body.radii)
            start = ((rays.sources - np.asarray(body.centre)) / np.asarray(body.radii))[:, None]
            square = (along**2).sum(-1)
            nearest = (start**2).sum(-1) - (start * along).sum(-1) ** 2 / square
            found[row] += body.value * 2 * np.sqrt(np.clip(1 - nearest, 0, None) / square) * length
    return torch.from_numpy(found)


def ellipsoid_volume(bodies: Sequence[Ellipsoid], grid: VolumeGrid, points: int = 3) -> Tensor:
    """(z, y, x) float32 mean attenuation of each voxel, over ``points``³ places in it."""
    found = np.zeros(grid.shape, np.float32)
    inner = (np.arange(points) + 0.5) / points - 0.5
    places = [
        ((np.arange(n) - (n - 1) / 2)[:, None] + inner).ravel() * step
        for n, step in zip(grid.shape, grid.spacing, strict=True)
    ]
    z, y, x = places
    for body in bodies:
        for k in range(grid.shape[0]):
            some = z[k * points : (k + 1) * points]
            square = (
                (((some - body.centre[2]) / body.radii[2]) ** 2)[:, None, None]
                + (((y - body.centre[1]) / body.radii[1]) ** 2)[:, None]
                + ((x - body.centre[0]) / body.radii[0]) ** 2
            )
            inside = (square < 1).mean(0).reshape(grid.shape[1], points, grid.shape[2], points).mean((1, 3))
            found[k] += np.float32(body.value) * inside.astype(np.float32)
    return torch.from_numpy(found)


def defrise_discs(radius: float, half_height: float, discs: int, value: float) -> list[Ellipsoid]:
    """Flat discs stacked along the axis, gaps between them as thick as they are (Defrise's phantom).

    Args:
        radius: radius of the discs, mm.
        half_height: distance from the midplane to the last disc's centre, mm.
        discs: number of discs, 2 or more.
        value: attenuation in 1/mm.
    """
    thickness = 2 * half_height / (discs - 1) / 2
    centres = np.linspace(-half_height, half_height, discs)
    return [Ellipsoid((0.0, 0.0, float(z)), (radius, radius, thickness / 2), value) for z in centres]
