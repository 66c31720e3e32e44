"""Pictures for the page: grey values and colour maps to PNG data URIs, and the scales they are drawn with."""

from __future__ import annotations

import base64
import io
import math

import numpy as np


def _ramp(*anchors: str) -> np.ndarray:
    """(256, 3) uint8 colours, linear between evenly spaced ``#rrggbb`` anchors."""
    colours = np.array([[int(anchor[i : i + 2], 16) for i in (1, 3, 5)] for anchor in anchors], float)
    positions = np.linspace(0, 255, len(anchors))
    return np.stack([np.interp(np.arange(256), positions, c) for c in colours.T], axis=1).round().astype(np.uint8)


GREYS = _ramp("#000000", "#ffffff")
ERRORS = _ramp("#c8ecff", "#48a8f0", "#1656a8", "#000000", "#a83c08", "#f08c28", "#fff0b4")
"""Blue below, orange above (told apart by the colour-blind), black at zero like the pictures beside them."""
DEVIATIONS = _ramp("#000000", "#3b1770", "#a52c60", "#ed6925", "#fcffa4")


def png(pixels: np.ndarray, colours: np.ndarray | None = None) -> str:
    """Data URI of a (h, w) bool or uint8, or (h, w, 3) uint8 picture.

    Args:
        pixels: the picture.
        colours: (256, 3) uint8 colours that (h, w) uint8 pixels stand for; a third as large as the colours themselves.
    """
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    if colours is not None:
        image.putpalette(colours.tobytes())  # the picture is of type P then
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8, 0 at ``low`` and below (and for what is not a number), 255 at ``high`` and above."""
    scaled = (values.astype(np.float64) - low) * (255 / max(high - low, np.finfo(float).tiny))
    return np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255).round().astype(np.uint8)


def legend(colours: np.ndarray) -> str:
    """Data URI of a colour map as a strip, low values at the left."""
    return png(colours[None].repeat(8, axis=0))


def finite_range(values: np.ndarray, low_percent: float, high_percent: float) -> tuple[float, float]:
    """Two percentiles of the finite values, the second above the first; (0, 1) if there are no finite values."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, [low_percent, high_percent]))
    return (low, high) if high > low else (low, low + 1.0)


def nice_above(value: float) -> float:
    """The least of 1, 2, 5, 10, 20, … (and 0.5, 0.2, …) that is at least ``value``; 1 if ``value`` is not positive."""
    if not (math.isfinite(value) and value > 0):
        return 1.0
    decade = 10.0 ** math.floor(math.log10(value))
    # The tolerance keeps 0.2 / 0.1 and the like on their own step.
    return next(float(f"{m * decade:.3g}") for m in (1, 2, 5, 10) if m * decade >= value * (1 - 1e-9))


def number(value: float) -> str:
    """A number for a legend: three significant digits, no exponent where it can be avoided, a true minus sign."""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "0" if value == 0 else digits.replace("-", "−")
