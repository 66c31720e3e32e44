"""Draws docs/volume.svg and docs/planes.svg: axes of volumes, and how planes of them are turned for people.

``python docs/draw_conventions.py``. The turned planes are those of the function that all reports use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.pictures.planes import PLANES

SHAPE = (3, 4, 5)  # z, y, x
CELL = 26
INK, SOFT, MARKS = "#1d2b2a", "#8a9996", ("#c0392b", "#1f7a4d", "#2457a6")
"""The marks are the first voxels along x, y and z."""


def text(x: float, y: float, words: str, more: str = "") -> str:
    """Words in the middle of a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" {more}>{words}</text>'


def arrow(start: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    """A line with a dot at its end, which is where an axis leads."""
    line = f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" stroke="{colour}" stroke-width="2.5"/>'
    return f'{line}<circle cx="{end[0]}" cy="{end[1]}" r="4.5" fill="{colour}"/>'


def document(width: int, height: int, body: list[str]) -> str:
    """An SVG of these parts."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    style = f'font-family="sans-serif" font-size="13" fill="{INK}"'
    return "\n".join([f"{head} {style}>", f'<rect width="{width}" height="{height}" fill="#fff"/>', *body, "</svg>\n"])


def volume_picture() -> str:
    """The axes of a volume in the patient."""
    origin = (150.0, 200.0)
    ends = {
        "x": ((330.0, 200.0), "x → right (R)", MARKS[0]),
        "y": ((235.0, 120.0), "y → anterior (A)", MARKS[1]),
        "z": ((150.0, 50.0), "z → superior (S)", MARKS[2]),
    }
    body = [arrow(origin, end, colour) for end, _, colour in ends.values()]
    labels = {"x": (330, 224), "y": (290, 110), "z": (150, 34)}
    body += [text(*labels[axis], words, f'fill="{colour}"') for axis, (_, words, colour) in ends.items()]
    body += [text(150, 226, "voxel [0, 0, 0]"), text(430, 80, "array[z, y, x]", 'font-family="monospace"')]
    body += [text(430, 102, "spacing (z, y, x) in mm"), text(430, 124, "affine: (x, y, z) to RAS+ mm")]
    return document(560, 250, body)


def planes_picture() -> str:
    """The three planes of a small volume as arrays lie, and as people look at them, with the numbers of voxels."""
    body = [text(105, 22, "as the array lies"), text(330, 22, "as the report shows it")]
    top = 40
    for plane in PLANES:
        rows, columns = SHAPE[plane.rows], SHAPE[plane.columns]
        names = "zyx"[plane.rows], "zyx"[plane.columns]
        plain = np.arange(rows * columns).reshape(rows, columns)
        volume = np.expand_dims(plain, plane.axis)
        turned = plane.picture(volume, 0)
        body += _grid(plain, 45, top, f"rows {names[0]}, columns {names[1]}")
        body += _grid(turned, 265, top, plane.name)
        left, right, above, below = plane.letters
        height, width = rows * CELL, columns * CELL
        body += [text(255, top + height / 2 + 5, left), text(265 + width + 10, top + height / 2 + 5, right)]
        body += [text(265 + width / 2, top - 4, above), text(265 + width / 2, top + height + 13, below)]
        top += height + 58
    return document(440, top - 10, body)


def _grid(values: np.ndarray, left: float, top: float, caption: str) -> list[str]:
    parts = []
    for (row, column), value in np.ndenumerate(values):
        x, y = left + column * CELL, top + row * CELL
        fill = "#ffd9a0" if value == 0 else "#eef4f3"
        parts.append(f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{fill}" stroke="{SOFT}"/>')
        parts.append(text(x + CELL / 2, y + CELL / 2 + 4, str(value), 'font-size="11"'))
    rows, columns = values.shape
    return [*parts, text(left + columns * CELL / 2, top + rows * CELL + 30, caption, f'fill="{SOFT}"')]


PICTURES = {"volume.svg": volume_picture, "planes.svg": planes_picture}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(__file__).parent / name).write_text(draw(), encoding="utf-8")
