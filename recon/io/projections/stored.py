"""What a file of projections holds, as it is stored, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from physics.ct.scan_geometry import ScanGeometry


@dataclass(frozen=True)
class Stored:
    """Projections as a file holds them.

    Attributes:
        name: file, and array in it, for messages.
        data: the array, 2D or 3D.
        axes: its axes, of z (detector rows), v (views), c (cells); None where the file does not say.
        flat: (frames, rows, cells) or fewer axes, what the detector reads without an object; None: not in the file.
        dark: the same without a beam.
        angles: (views,) view angles in radians; None: not in the file.
        angles_assumed: whether degrees were assumed as their unit in the file, which does not state it.
        geometry: geometry of the scan, where the file states it whole.
        intensities: whether the data are counts or transmissions, not line integrals; None where the file does not say.
        ceiling: largest value that the stored type holds; None of floating-point numbers.
        notices: what was assumed.
        meta: what else the file says that a sinogram keeps.
        rows_cut: whether only the detector rows that were asked for were read.
    """

    name: str
    data: np.ndarray
    axes: str | None = None
    flat: np.ndarray | None = None
    dark: np.ndarray | None = None
    angles: np.ndarray | None = None
    geometry: ScanGeometry | None = None
    intensities: bool | None = None
    ceiling: float | None = None
    notices: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)
    angles_assumed: bool = False
    rows_cut: bool = False


def ceiling_of(dtype: np.dtype) -> float | None:
    """The largest value of an integer type; None of others."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else None
