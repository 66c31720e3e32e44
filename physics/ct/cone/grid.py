"""The voxel grid of a volume, in three dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from physics.ct.geometry import ImageGrid


@dataclass(frozen=True)
class VolumeGrid:
    """A voxel grid, centred on the isocentre.

    Attributes:
        shape: (z, y, x) voxels.
        spacing: (z, y, x) voxel size in mm.

    Raises:
        ValueError: an empty grid, or a voxel size that is not positive.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.shape[0] < 1:
            raise ValueError(f"a volume of {self.shape} voxels is empty")
        if not (math.isfinite(self.spacing[0]) and self.spacing[0] > 0):
            raise ValueError(f"voxel spacing must be positive, not {self.spacing} mm")
        self.slice_grid  # noqa: B018 - checks the other two axes

    @property
    def slice_grid(self) -> ImageGrid:
        """The pixel grid of one slice."""
        return ImageGrid(self.shape[1:], self.spacing[1:])

    @property
    def corner_radius(self) -> float:
        """Distance from the axis of rotation to a vertical edge of the grid, mm."""
        return self.slice_grid.corner_radius

    @property
    def half_height(self) -> float:
        """Distance from the midplane to the top of the grid, mm."""
        return 0.5 * self.shape[0] * self.spacing[0]

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Points or directions (..., 3) of (x, y, z) in mm as (..., 3) numbers of voxels from the isocentre."""
        return points / np.asarray(self.spacing[::-1])
