"""A segmentation on a grid in patient space: one label a voxel, resampled by nearest neighbour alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recon.scan.volume import Source, Volume, shape_text

_SAME_PLACE = 0.05
"""Voxels that two grids may lie apart at their corners and still be one grid."""


@dataclass(frozen=True, repr=False)
class LabelMap:
    """A segmentation.

    Attributes:
        data: (z, y, x) uint8 labels, canonical orientation as of :class:`recon.scan.volume.Volume`; 0 is background.
        affine: (4, 4) affine of the canonical array, voxel (x, y, z) to RAS+ millimetres.
        source: the origin of the label map; None for one made in memory.
    """

    data: Tensor
    affine: np.ndarray
    source: Source | None = None

    def __repr__(self) -> str:
        """Shape, spacing and labels in one line, without the data."""
        spacing = " x ".join(f"{step:.4g}" for step in self.spacing)
        labels = ", ".join(map(str, self.labels)) or "none"
        return f"<label map, {shape_text(self.data.shape)} (z, y, x), {spacing} mm, labels {labels}>"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels that some voxel has, without the background."""
        return tuple(int(label) for label in torch.unique(self.data) if label)

    @property
    def path(self) -> Path | None:
        """The file that was read; None for a label map made in memory."""
        return self.source.path if self.source else None

    def is_on_grid_of(self, volume: Volume) -> bool:
        """Whether its voxels are those of a volume."""
        return self.data.shape == volume.data.shape and _same_place(self.affine, volume.affine, self.data.shape)

    def on_grid_of(self, volume: Volume) -> LabelMap:
        """The label map on the grid of a volume: each voxel has the label of the nearest, outside is background."""
        from scipy import ndimage

        if self.is_on_grid_of(volume):
            return self
        into = np.linalg.inv(self.affine) @ volume.affine
        moved = ndimage.affine_transform(
            self.data.numpy().T,
            into[:3, :3],
            into[:3, 3],
            output_shape=tuple(reversed(volume.data.shape)),
            order=0,
            mode="grid-constant",  # half a voxel beyond the outermost centres is still inside
            cval=0,
        )
        return LabelMap(torch.from_numpy(np.ascontiguousarray(moved.T)), volume.affine)


def _same_place(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether two affines place the corners of an array of a (z, y, x) shape at the same voxels."""
    z, y, x = (size - 1 for size in shape)
    corners = np.array([[i, j, k, 1.0] for i in (0, x) for j in (0, y) for k in (0, z)])
    apart = np.abs((corners @ (np.linalg.inv(one) @ other).T) - corners)[:, :3]
    return bool(apart.max() < _SAME_PLACE)
