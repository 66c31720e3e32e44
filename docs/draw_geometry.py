"""Draws docs/geometry.svg: the conventions of a scan, from the geometry itself. ``python docs/draw_geometry.py``."""

from __future__ import annotations

import math
from pathlib import Path

from physics.ct.geometry import FanBeam

ANGLE = math.radians(25)
SCAN = FanBeam((ANGLE,), pitch=34.0, cells=7, offset=20.0, source_isocentre=150.0, source_detector=270.0)
SIZE, MIDDLE = 440, (215.0, 215.0)

Point = tuple[float, float]


def place(point: Point) -> Point:
    """A point in mm, y up, as one of the picture, where y goes down."""
    return MIDDLE[0] + point[0], MIDDLE[1] - point[1]


def line(first: Point, second: Point, colour: str, more: str = "") -> str:
    """A line between points in mm."""
    (x1, y1), (x2, y2) = place(first), place(second)
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def text(point: Point, words: str, colour: str = "#222", anchor: str = "start") -> str:
    """Words at a point in mm."""
    x, y = place(point)
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def dot(point: Point, colour: str, radius: float = 4) -> str:
    """A dot at a point in mm."""
    x, y = place(point)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


def cell_edges() -> list[Point]:
    """Where the cells of the detector begin and end, mm."""
    _, _, x, y, step_x, step_y = SCAN.vectors()[0]
    half = SCAN.data_shape[1] / 2
    return [(x + (k - half) * step_x, y + (k - half) * step_y) for k in range(SCAN.data_shape[1] + 1)]


def picture() -> str:
    """The SVG."""
    x, y = SCAN.vectors()[0][:2]
    source: Point = (float(x), float(y))
    edges = cell_edges()
    axis = (math.cos(ANGLE), math.sin(ANGLE))
    foot = tuple(-c * (SCAN.source_detector / SCAN.source_isocentre - 1) for c in source)
    arrow = 'stroke-width="1.5" marker-end="url(#head)"'
    parts = [
        line((-95, 0), (105, 0), "#888", arrow) + text((108, -4), "x", "#555"),
        line((0, -95), (0, 105), "#888", arrow) + text((6, 104), "y, up: rows of the image grow this way", "#555"),
        '<rect x="145" y="145" width="140" height="140" fill="none" stroke="#bbb"/>',
        line(source, (foot[0], foot[1]), "#c33", 'stroke-dasharray="5 4"'),
        line(source, edges[0], "#ddaa66") + line(source, edges[-1], "#ddaa66"),
        line(edges[0], edges[-1], "#246", 'stroke-width="3"'),
        *(line(e, (e[0] + 5 * axis[1], e[1] - 5 * axis[0]), "#246") for e in edges),
        line(edges[-1], (edges[-1][0] + 26 * axis[0], edges[-1][1] + 26 * axis[1]), "#246", arrow),
        dot(source, "#c33", 6),
        text((source[0] + 12, source[1] - 2), "source", "#c33"),
        dot((0, 0), "#222"),
        text((6, -14), "isocentre", "#222"),
        dot((foot[0], foot[1]), "#c33"),
        text((foot[0] - 6, foot[1] + 14), "position 0", "#c33", "end"),
        text((edges[0][0] + 2, edges[0][1] - 14), "cell 0", "#246"),
        text((edges[-1][0] - 6, edges[-1][1] + 16), "last cell, u", "#246", "end"),
        text((-205, -200), "β = 25°, offset +20 mm: the middle of the detector is shifted along u"),
    ]
    start, end = place((0, -60)), place((60 * math.sin(ANGLE), -60 * math.cos(ANGLE)))
    parts.append(
        f'<path d="M{start[0]:.1f} {start[1]:.1f} A60 60 0 0 0 {end[0]:.1f} {end[1]:.1f}" fill="none" '
        f'stroke="#c33" {arrow}/>' + text((10, -76), "β", "#c33")
    )
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#666"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{head}\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("geometry.svg").write_text(picture(), encoding="utf-8")
