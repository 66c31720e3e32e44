"""How well one segmentation agrees with another: Dice coefficient and 95 % Hausdorff distance of one label."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_PERCENTILE = 95


def dice(one: np.ndarray, other: np.ndarray) -> float | None:
    """The Dice coefficient of two masks, 0 to 1; None where both are empty.

    Args:
        one, other: boolean arrays of one shape.
    """
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else None


def hausdorff95(one: np.ndarray, other: np.ndarray, spacing: tuple[float, float, float]) -> float | None:
    """The 95 % Hausdorff distance of two masks in mm; None where one is empty.

    The larger one of the two directed percentiles, as MONAI has it; another convention pools both directions. Surface
    voxels are those that a 6-connected erosion takes away, distances are exact.

    Args:
        one, other: boolean arrays of one 3D shape.
        spacing: the voxel size along their axes in mm.
    """
    if not (one.any() and other.any()):
        return None
    box = _box(one | other)
    here, there = _surface(one[box]), _surface(other[box])
    return max(_directed(here, there, spacing), _directed(there, here, spacing))


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def _directed(here: np.ndarray, there: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """The percentile of the distances in mm from one surface to another."""
    distances = ndimage.distance_transform_edt(~there, sampling=spacing)
    return float(np.percentile(distances[here], _PERCENTILE))


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The part of the array around a mask, with one voxel more on every side where there is one."""
    found: tuple[slice, ...] = ndimage.find_objects(mask.astype(np.int8))[0]
    return tuple(
        slice(max(part.start - 1, 0), min(part.stop + 1, size)) for part, size in zip(found, mask.shape, strict=True)
    )
