"""Which pictures of a volume the page holds, and how a radiologist expects them to lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LARGEST_SLICE = 384 * 384
"""Pixels of a slice beyond which neighbouring pixels are averaged, if not all slices fit as they are."""


@dataclass(frozen=True)
class Plane:
    """An anatomical plane of a canonical (z, y, x) RAS+ volume, in radiological convention.

    Attributes:
        name: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        axis: the axis of the volume that it is perpendicular to.
        letters: the patient's side at the picture's left, right, top and bottom.
    """

    name: str
    axis: int
    letters: tuple[str, str, str, str]

    @property
    def rows(self) -> int:
        """The volume's axis that runs down the picture."""
        return 1 if self.axis == 0 else 0

    @property
    def columns(self) -> int:
        """The volume's axis that runs along the picture's rows."""
        return 1 if self.axis == 2 else 2

    def picture(self, volume: np.ndarray, index: int) -> np.ndarray:
        """The (rows, columns) picture at ``index``. The stored axes run to the right, anterior and superior; the
        picture's run the other way (right side of the patient at the left, anterior and superior at the top,
        and a sagittal plane looks to the left)."""
        return np.take(volume, index, axis=self.axis)[::-1, ::-1]


PLANES = (
    Plane("axial", 0, ("R", "L", "A", "P")),
    Plane("coronal", 1, ("R", "L", "S", "I")),
    Plane("sagittal", 2, ("A", "P", "S", "I")),
)


def axial_picture(image: np.ndarray) -> np.ndarray:
    """A (y, x) slice of a canonical volume as radiologists look at it: the patient's right at the left, anterior up."""
    return PLANES[0].picture(image[None], 0)


@dataclass(frozen=True)
class Selection:
    """The slices of one plane that are embedded.

    Attributes:
        plane: the plane.
        indices: slices of the volume, ascending.
        factor: ``factor`` x ``factor`` pixels are averaged into one.
        extent: (height, width) of the picture in mm.
    """

    plane: Plane
    indices: tuple[int, ...]
    factor: int
    extent: tuple[float, float]

    @property
    def centre(self) -> int:
        """Position in ``indices`` of the middle slice."""
        return len(self.indices) // 2

    def pictures(self, volume: np.ndarray) -> np.ndarray:
        """The embedded pictures, (slices, rows, columns) float32."""
        return np.stack([average(self.plane.picture(volume, index), self.factor) for index in self.indices])


def select(shape: Sequence[int], spacing: Sequence[float], budget: int) -> list[Selection]:
    """The planes to show of a (z, y, x) shape: a stack of the first, the middle of the others.

    The stack has at most ``budget`` voxels, or a single slice. A plane whose pictures would be a single line of pixels
    is left out, unless there is no other.
    """
    shown = [plane for plane in PLANES if min(shape[plane.rows], shape[plane.columns]) > 1] or [PLANES[0]]
    stack, *others = shown
    indices, factor = _stack(shape[stack.axis], shape[stack.rows] * shape[stack.columns], budget)
    selections = [_selection(stack, indices, factor, shape, spacing)]
    return selections + [_selection(plane, (shape[plane.axis] // 2,), 1, shape, spacing) for plane in others]


def _selection(
    plane: Plane, indices: tuple[int, ...], factor: int, shape: Sequence[int], spacing: Sequence[float]
) -> Selection:
    height, width = (shape[axis] * spacing[axis] for axis in (plane.rows, plane.columns))
    return Selection(plane, indices, factor, (height, width))


def _stack(depth: int, pixels: int, budget: int) -> tuple[tuple[int, ...], int]:
    """Evenly spread slices, and the averaging factor, that keep a stack within ``budget`` voxels."""
    if depth * pixels <= budget:
        return tuple(range(depth)), 1
    factor = max(1, int(np.ceil(np.sqrt(pixels / LARGEST_SLICE))))
    count = min(depth, max(1, budget * factor**2 // pixels))
    if count == 1:
        return (depth // 2,), factor
    return tuple(int(i) for i in np.linspace(0, depth - 1, count).round()), factor


def average(picture: np.ndarray, factor: int) -> np.ndarray:
    """Mean over ``factor`` x ``factor`` pixels, float32; the last row and column are repeated to fill whole blocks."""
    if factor == 1:
        return picture.astype(np.float32)
    padded = np.pad(picture, [(0, -n % factor) for n in picture.shape], mode="edge")
    rows, columns = (n // factor for n in padded.shape)
    return padded.reshape(rows, factor, columns, factor).mean(axis=(1, 3), dtype=np.float32)
