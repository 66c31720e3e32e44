"""A volume in patient space: what every reader returns and every writer takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

Modality = Literal["CT", "MR"]


@dataclass(frozen=True)
class Source:
    """Where a volume came from, and what a writer needs to put a result on the same grid.

    Attributes:
        path: the file or folder that was read.
        format: ``"nifti"``, ``"dicom"``, ``"fastmri"``, ``"ismrmrd"``, ``"bart"``,
            ``"twix"``, ``"hdf5"`` or ``"numpy"``.
        affine: (4, 4) affine of the array as stored, voxel (i, j, k) to RAS+ millimetres.
        shape: (i, j, k) shape of the array as stored.
        header: format-specific extras (for DICOM: the sorted list of slice files).
        spacing_known: whether the file states the voxel size; where it does not, ``affine`` has voxels of 1 mm.
        orientation_known: whether the file states where the patient's sides are.
    """

    path: Path
    format: str
    affine: np.ndarray
    shape: tuple[int, int, int]
    header: dict[str, Any] = field(default_factory=dict)
    spacing_known: bool = True
    orientation_known: bool = True


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it: "4 x 28 x 32"."""
    return " x ".join(map(str, shape))


@dataclass(frozen=True, repr=False)
class Volume:
    """A 3D image on a regular grid.

    Attributes:
        data: (z, y, x) float32 tensor, canonical orientation: x to the Right, y to the Anterior,
            z to the Superior. CT is in HU, MR is a magnitude in the file's own units.
        affine: (4, 4) affine of the canonical array, voxel (x, y, z) to RAS+ millimetres.
        modality: ``"CT"`` or ``"MR"``.
        source: the origin of the volume; None for a volume made in memory.
        notices: what the reader of a result must know about it, such as a doubtful intensity scale, or what
            its reader decided.
    """

    data: Tensor
    affine: np.ndarray
    modality: Modality
    source: Source | None = None
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Modality, shape, spacing and origin in one line, without the data."""
        spacing = " x ".join(f"{step:.4g}" for step in self.spacing)
        origin = f", {self.source.path.name}" if self.source else ""
        return f"<{self.modality} volume, {shape_text(self.data.shape)} (z, y, x), {spacing} mm{origin}>"

    def _repr_html_(self) -> str:
        """The middle planes, turned for people, with spacing, range and notices: what a notebook shows."""
        from recon.pictures.glance import glance, window_of

        image = self.data.numpy()
        low, high = (f"{value:.4g}" for value in (image.min(), image.max()))
        black, white = window_of(image, in_hu=self.modality == "CT")
        values = (
            f"values {low} to {high}{' HU' if self.modality == 'CT' else ''}, shown from {black:.4g} to {white:.4g}"
        )
        known = self.source is None or self.source.orientation_known
        sides = "the patient's right is at the left" if known else "the patient's sides are not known"
        facts = (repr(self)[1:-1], values, sides, *self.notices)
        return glance([("", image)], self.spacing, (black, white), facts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The (z, y, x) values: what ``numpy.asarray`` and libraries that take arrays see."""
        values = self.data.detach().cpu().numpy()
        return np.array(values, dtype=dtype, copy=copy)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    def like(self, data: Tensor) -> Volume:
        """The same grid, source and notices with other data of the same (z, y, x) shape."""
        if data.shape != self.data.shape:
            raise ValueError(f"the volume is {tuple(self.data.shape)}, the data are {tuple(data.shape)}")
        return replace(self, data=data)
