"""Trajectories through k-space: where a scanner samples that does not follow a grid.

Coordinates are in cycles per voxel, from −½ to ½ along an axis that is sampled as far as its voxels resolve, in the
order (y, x). They do not depend on the number of voxels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1) / 2
"""Radians between spokes that spread evenly over half a turn, however many there are (Winkelmann et al. 2007)."""

_SPIRAL_STEPS = 4096  # points at which the length of a spiral's path is computed

TRAJECTORY_KINDS = ("radial", "spiral")
"""Kinds that :func:`make_trajectory` makes."""


def make_trajectory(kind: str, readouts: int, samples: int, matrix: int) -> Tensor:
    """A trajectory of a kind.

    Args:
        kind: one of :data:`TRAJECTORY_KINDS`.
        readouts: number of spokes or of spiral arms.
        samples: number of samples of a readout.
        matrix: number of voxels along the longer axis of the image, which sets the turns of a spiral.

    Returns:
        (readouts, samples, 2) float64 coordinates.

    Raises:
        ValueError: no such kind, or no readout or fewer than two samples.
    """
    if kind not in TRAJECTORY_KINDS:
        raise ValueError(f"there is no trajectory {kind!r}; there are {', '.join(TRAJECTORY_KINDS)}")
    if readouts < 1:
        raise ValueError(f"`spokes` {readouts}: must be 1 or more")
    if samples < 2:
        raise ValueError(f"{samples} samples of a readout: 2 or more are needed")
    if kind == "radial":
        return radial(readouts, samples)
    return spiral(readouts, samples, turns=matrix / (2 * readouts))


def radial(spokes: int, samples: int, angle: float = GOLDEN_ANGLE) -> Tensor:
    """Spokes through the centre of k-space, the first along x, each turned by an angle against the one before.

    Sample ``samples // 2`` of every spoke is the centre.
    """
    radius = (torch.arange(samples, dtype=torch.float64) - samples // 2) / samples
    angles = angle * torch.arange(spokes, dtype=torch.float64)
    return torch.stack([torch.sin(angles)[:, None] * radius, torch.cos(angles)[:, None] * radius], -1)


def spiral(arms: int, samples: int, turns: float) -> Tensor:
    """Archimedean spirals from the centre outwards, evenly turned against one another.

    Args:
        arms: number of interleaved spirals.
        samples: number of samples of each, at equal distances along its path.
        turns: turns of each spiral. Neighbouring arms are ½ / (turns · arms) apart.
    """
    radii = np.linspace(0, 0.5, _SPIRAL_STEPS)
    speed = np.hypot(1, 4 * np.pi * turns * radii)
    path = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(radii))])
    radius = torch.from_numpy(np.interp(np.linspace(0, path[-1], samples), path, radii))
    turned = torch.arange(arms, dtype=torch.float64)[:, None] / arms
    angles = 2 * math.pi * (2 * turns * radius + turned)
    return torch.stack([torch.sin(angles) * radius, torch.cos(angles) * radius], -1)


def check_trajectory(coordinates: Tensor) -> None:
    """``ValueError`` unless coordinates are (readouts, samples, 2), finite, and within ±½ cycle per voxel."""
    if coordinates.ndim != 3 or coordinates.shape[-1] != 2 or coordinates.numel() == 0:
        raise ValueError(f"a trajectory is (readouts, samples, 2), ky and kx, not {tuple(coordinates.shape)}")
    if coordinates.is_complex() or not bool(torch.isfinite(coordinates).all()):
        raise ValueError("a trajectory holds real and finite coordinates")
    largest = float(coordinates.abs().max())
    if largest > 0.5 + 1e-6:
        raise ValueError(
            f"a trajectory is in cycles per voxel, -0.5 to 0.5, and this one reaches {largest:.4g}; divide coordinates "
            "in cycles per field of view by the number of voxels"
        )
