"""k-space along a trajectory in memory: what readers of radial, spiral and other non-Cartesian raw data return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from recon.scan.volume import Source, shape_text


@dataclass(frozen=True, repr=False)
class NonCartesianKSpace:
    """Samples of slices, or of the partitions of a stack of stars, along a trajectory.

    Attributes:
        data: (z, coils, readouts, samples) complex64 of slices, or (kz, …) of partitions, zero where not measured.
        trajectory: coordinates along y and x in cycles per voxel, float64: (readouts, samples, 2) of all planes alike,
            or (z or kz, readouts, samples, 2).
        image_shape: (y, x) voxels of the image.
        kind: the trajectory in a word: radial, spiral, …
        measured: (kz,) bool, the partitions that were measured of a stack; None: the planes are slices.
        noise_readouts: (coils, samples) complex64 of readouts that hold noise alone, of the level of ``data``; None
            where there are none.
        reference: (z, y, x) magnitude image that came with the file, or None.
        affine: (4, 4) affine of the image array (x, y, z) to mm; a file that does not say gets 1 mm voxels, and
            ``meta["spacing_known"]`` is then False.
        meta: what else the file says, as plain values.
        source: the origin of the data.
        notices: what the reader of a result must know about how the file was read.
    """

    data: Tensor
    trajectory: Tensor
    image_shape: tuple[int, int]
    affine: np.ndarray
    kind: str = "other"
    measured: Tensor | None = None
    noise_readouts: Tensor | None = None
    reference: Tensor | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    source: Source | None = None
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Shape, trajectory and origin in one line, without the data."""
        planes = "z" if self.measured is None else "kz"
        origin = f", {self.source.path.name}" if self.source else ""
        return f"<k-space, {shape_text(self.data.shape)} ({planes}, coils, readouts, samples), {self.kind}{origin}>"
