"""Grey values small enough to embed and exact enough to window in the browser.

A picture in an <img> would have 8 bits: 8 HU a step over [-1000, 1000] HU, visible in a soft-tissue window. So the
page carries 12-bit numbers, predicted from their left neighbour, with small differences of either sign folded to
small codes, all low bytes before all high bytes, deflated. viewer.js undoes it. No canvas is read back: some browsers
add noise to that.
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


def scale_between(low: float, high: float, levels: int = LEVELS) -> Scale:
    """A scale whose first ``levels`` codes span [low, high]; one of step 1 where the two are equal."""
    return Scale(low, (high - low) / (levels - 1) if high > low else 1.0)


def pack(codes: np.ndarray) -> str:
    """Base64 of the deflated prediction errors of (slices, rows, columns) uint16 codes."""
    errors = codes.copy()
    errors[:, :, 1:] -= codes[:, :, :-1]
    errors[:, 1:, 0] -= codes[:, :-1, 0]
    signed = errors.view(np.int16)
    folded = ((signed << 1) ^ (signed >> 15)).view(np.uint16)
    planes = (folded & 0xFF).astype(np.uint8).tobytes() + (folded >> 8).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode("ascii")
