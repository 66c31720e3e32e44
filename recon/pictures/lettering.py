"""Letters of the patient's sides and a scale in millimetres around a picture, drawn into its margins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MARGIN = 12
"""Pixels around a picture in which letters and scale stand."""

_LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200)
_WHITE = 255


@dataclass(frozen=True)
class Frame:
    """What is known of how pictures of a volume lie.

    Attributes:
        sides_known: whether it is known where the patient's sides are; without that, pictures carry no letters.
        pixel: the width of a voxel in mm, along the rows of an axial picture; None where it is unknown: no scale then.
    """

    sides_known: bool = False
    pixel: float | None = None


UNKNOWN = Frame()


def scale_length(width: int, pixel: float) -> int:
    """The length of a scale in mm for a picture of ``width`` pixels: a round number, at most half of the width."""
    return max((length for length in _LENGTHS if 2 * length <= width * pixel), default=_LENGTHS[0])


def framed(picture: np.ndarray, letters: tuple[str, str, str, str], frame: Frame) -> np.ndarray:
    """A picture with a margin that carries letters and a scale, as far as they are known.

    Args:
        picture: (h, w) uint8, turned as people look at it (:mod:`recon.pictures.planes`).
        letters: the patient's side at the picture's left, right, top and bottom.
        frame: what is known of it.

    Returns:
        (h + 2 · margin, w + 2 · margin) uint8, the picture in the middle, whatever is known: rows of pictures keep
        their places.
    """
    from PIL import Image, ImageDraw

    height, width = picture.shape
    canvas = np.zeros((height + 2 * MARGIN, width + 2 * MARGIN), np.uint8)
    canvas[MARGIN:-MARGIN, MARGIN:-MARGIN] = picture
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    middle, centre = MARGIN + height // 2, MARGIN + width // 2
    if frame.sides_known:
        left, right, top, bottom = letters
        places = [(left, MARGIN // 2, middle), (right, width + MARGIN + MARGIN // 2, middle)]
        places += [(top, centre, MARGIN // 2), (bottom, centre, height + MARGIN + MARGIN // 2)]
        for letter, x, y in places:
            pen.text((x, y), letter, fill=_WHITE, anchor="mm")
    if frame.pixel:
        _draw_scale(pen, width, height, frame.pixel)
    drawn = np.array(image)
    drawn[MARGIN:-MARGIN, MARGIN:-MARGIN] = picture
    return drawn


def _draw_scale(pen: object, width: int, height: int, pixel: float) -> None:
    """A bar along the lower left of the margin; its length is written at its right where the picture is wide enough."""
    from PIL import ImageDraw

    assert isinstance(pen, ImageDraw.ImageDraw)
    length = scale_length(width, pixel)
    end = MARGIN + min(width, max(1, round(length / pixel))) - 1
    row = height + MARGIN + 2
    pen.line([(MARGIN, row), (end, row)], fill=_WHITE)
    pen.text((MARGIN, row + 2), f"{length} mm", fill=_WHITE, font_size=8)
