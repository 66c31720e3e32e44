"""Slices of a tilted gantry, or of uneven distances, on a regular grid, by linear interpolation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from recon.io.dicom.geometry import Skew

_WHOLE = 1e-3
"""A displacement of so little of a pixel, or of a step, is rounding."""


def resampled(values: np.ndarray, affine: np.ndarray, skew: Skew, outside: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and affine of the regular grid that holds all slices.

    Args:
        values: (slices, rows, columns) float32, in ascending order along the normal.
        affine: (4, 4) affine of the (column, row, slice) array whose first slice is the first one.
        skew: how the slices lie.
        outside: value of what no slice covers.
    """
    low = np.floor(skew.shifts.min(axis=0) + _WHOLE).astype(int)
    high = np.ceil(skew.shifts.max(axis=0) - _WHOLE).astype(int)
    rows, columns = (int(n) for n in np.array(values.shape[1:]) + high - low)
    straight = np.stack(
        [_moved(v, shift - low, (rows, columns), outside) for v, shift in zip(values, skew.shifts, strict=True)]
    )
    moved = affine.copy()
    moved[:3, 3] += affine[:3, 0] * low[1] + affine[:3, 1] * low[0]
    count = int(np.floor(skew.heights[-1] + _WHOLE)) + 1
    return np.stack([_between(straight, skew.heights, place) for place in range(count)]), moved


def _moved(picture: np.ndarray, shift: np.ndarray, shape: tuple[int, int], outside: float) -> np.ndarray:
    """A picture in a larger one, displaced by pixels down and to the right."""
    whole = np.rint(shift)
    if np.abs(shift - whole).max() < _WHOLE:
        shift = whole
    return ndimage.affine_transform(
        picture, np.ones(2), -shift, output_shape=shape, order=1, mode="constant", cval=outside, output=np.float32
    )


def _between(slices: np.ndarray, heights: np.ndarray, place: float) -> np.ndarray:
    """The picture at a height, between the slices below and above."""
    above = int(np.clip(np.searchsorted(heights, place), 1, len(heights) - 1))
    weight = float(np.clip((place - heights[above - 1]) / (heights[above] - heights[above - 1]), 0, 1))
    if weight in (0.0, 1.0):
        return slices[above - 1 + int(weight)]
    return (1 - weight) * slices[above - 1] + np.float32(weight) * slices[above]
