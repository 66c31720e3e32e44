"""Grey values small enough to embed and exact enough to window in the browser.

A picture in an <img> would have 8 bits: 8 HU a step over [-1000, 1000] HU, visible in a soft-tissue window. So the
page carries 12-bit numbers, of which only some levels are kept: many where eyes look for small differences, few
elsewhere. Their places in the list of levels are predicted from the left neighbour, with small differences of either
sign folded to small numbers, all low bytes before all high bytes, deflated. unpack.js undoes it. No canvas is read
back: some browsers add noise to that.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np

LEVELS = 4096


@dataclass(frozen=True)
class Scale:
    """The values that the codes 0..LEVELS - 1 stand for: ``low + step * code``; others are clipped."""

    low: float
    step: float

    def codes(self, values: np.ndarray) -> np.ndarray:
        """uint16 codes; what is not a number becomes the lowest."""
        scaled = (values.astype(np.float64) - self.low) / self.step
        return np.nan_to_num(scaled, nan=0, posinf=LEVELS - 1).round().clip(0, LEVELS - 1).astype(np.uint16)


HOUNSFIELD = Scale(low=-2048.0, step=2.0)
"""2 HU a step from -2048 to 6142 HU: a 400 HU window still has 200 greys."""


SOFT_TISSUE = (-200.0, 300.0)
"""The values in HU that are kept finely."""


def body_levels(fine: float, coarse: float) -> np.ndarray:
    """Ascending codes of :data:`HOUNSFIELD`: steps of ``fine`` HU in soft tissue, ``coarse`` elsewhere."""
    low, high = SOFT_TISSUE
    top = HOUNSFIELD.low + HOUNSFIELD.step * (LEVELS - 1)
    values = [np.arange(HOUNSFIELD.low, low, coarse), np.arange(low, high, fine), np.arange(high, top, coarse)]
    return HOUNSFIELD.codes(np.append(np.concatenate(values), top))


def even_levels(step: int) -> np.ndarray:
    """Every so many codes, and the last."""
    return np.unique([*range(0, LEVELS, step), LEVELS - 1]).astype(np.uint16)


def nearest(codes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The places in ``levels`` that are nearest to codes, uint16."""
    borders = (levels[1:].astype(np.float64) + levels[:-1]) / 2
    return np.searchsorted(borders, codes).astype(np.uint16)


def scale_between(low: float, high: float, levels: int = LEVELS) -> Scale:
    """A scale whose first ``levels`` codes span [low, high]; one of step 1 where the two are equal."""
    return Scale(low, (high - low) / (levels - 1) if high > low else 1.0)


def pack(codes: np.ndarray) -> str:
    """Base64 of the deflated prediction errors of (slices, rows, columns) uint16 numbers."""
    errors = codes.copy()
    errors[:, :, 1:] -= codes[:, :, :-1]
    errors[:, 1:, 0] -= codes[:, :-1, 0]
    signed = errors.view(np.int16)
    folded = ((signed << 1) ^ (signed >> 15)).view(np.uint16)
    planes = (folded & 0xFF).astype(np.uint8).tobytes() + (folded >> 8).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode("ascii")
