"""Contact sheets: the middle axial, coronal and sagittal plane of every volume of a set, none left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from benchmarks.generation.volumes import VolumeSet
from priors.diffusion.anatomy import Size
from priors.diffusion.prior import VoxelSize
from recon.acquisition.network_scale import patient_axes
from recon.pictures.figures import to_bytes
from recon.pictures.planes import PLANES

PAGE_PIXELS = 40_000_000
"""Most pixels of all pictures on a page together, beyond which all are drawn smaller, and none is left out."""

_GAP = 2  # pixels between the planes of a volume, and between volumes of a sheet
_ACROSS = 6  # volumes in a row of a sheet


@dataclass(frozen=True)
class Scale:
    """How volumes of one size are drawn.

    Attributes:
        spacing: the voxel size (z, x, y) in mm.
        pixel: the size of a pixel in mm.
    """

    spacing: VoxelSize
    pixel: float


def scale_for(size: Size, spacing: VoxelSize, count: int) -> Scale:
    """One pixel for the smallest edge of a voxel, or as large ones as ``count`` volumes on one page need."""
    pixel = min(spacing)
    z, x, y = (n * d / pixel for n, d in zip(size, spacing, strict=True))
    pixels = count * (x * y + x * z + y * z)
    return Scale(spacing, pixel * max(1.0, math.sqrt(pixels / PAGE_PIXELS)))


def planes(image: Tensor, scale: Scale) -> np.ndarray:
    """The three planes side by side, (h, w) uint8, turned as radiologists look at them.

    Args:
        image: (Z, X, Y) in the network range, which goes from black to white.
        scale: the size of a pixel.
    """
    data = patient_axes(image).numpy()
    dz, dx, dy = scale.spacing
    pictures = [
        _resized(plane.picture(data, data.shape[plane.axis] // 2), (dz, dy, dx), plane.rows, plane.columns, scale)
        for plane in PLANES
    ]
    height = max(picture.shape[0] for picture in pictures)
    canvas = np.zeros((height, sum(picture.shape[1] for picture in pictures) + _GAP * (len(pictures) - 1)), np.uint8)
    left = 0
    for picture in pictures:
        canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return canvas


def _resized(picture: np.ndarray, spacing: Sequence[float], rows: int, columns: int, scale: Scale) -> np.ndarray:
    """A plane in square pixels; ``spacing`` is (z, y, x), as the axes of the plane are numbered."""
    grey = to_bytes(picture, -1.0, 1.0)
    height, width = (
        max(1, round(n * spacing[axis] / scale.pixel)) for n, axis in zip(grey.shape, (rows, columns), strict=True)
    )
    if (height, width) == grey.shape:
        return grey
    reduced = Image.Resampling.BOX if height * width < grey.size else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize((width, height), reduced))


def pictures(volumes: VolumeSet, scale: Scale) -> Iterator[np.ndarray]:
    """The planes of every volume of a set."""
    return (planes(image, scale) for image in volumes)


def sheet(found: Sequence[np.ndarray]) -> np.ndarray:
    """All pictures of a set as one, ``_ACROSS`` in a row, (h, w) uint8."""
    height, width = found[0].shape
    across = min(_ACROSS, len(found))
    down = math.ceil(len(found) / across)
    canvas = np.full((down * (height + _GAP) - _GAP, across * (width + 3 * _GAP) - 3 * _GAP), 255, np.uint8)
    for place, picture in enumerate(found):
        top, left = place // across * (height + _GAP), place % across * (width + 3 * _GAP)
        canvas[top : top + height, left : left + width] = picture
    return canvas
