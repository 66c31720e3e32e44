"""Features of all volumes in two dimensions as a drawing (Fig. 6): each method with a colour and a shape of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.generation.result import Embedding

WIDTH, HEIGHT = 640, 480
_MARGIN = 16
_RADIUS = 4.0

COLOURS = ("#111111", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#806000")
"""Told apart by the colour-blind (Okabe and Ito); the real volumes have the first."""

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "plus", "triangle-down", "bar")


@dataclass(frozen=True)
class Group:
    """One set in the drawing: its colour, and an SVG path for each volume; the legend has the path at 0, 0."""

    label: str
    colour: str
    filled: bool
    paths: tuple[str, ...]
    sign: str


def scatter(embedding: Embedding) -> list[Group]:
    """The drawing in ``WIDTH`` × ``HEIGHT`` units, all sets on one scale and without distortion."""
    everything = np.array([point for points in embedding.points.values() for point in points], float)
    low, high = everything.min(0), everything.max(0)
    scale = min(
        (WIDTH - 2 * _MARGIN) / max(high[0] - low[0], 1e-9), (HEIGHT - 2 * _MARGIN) / max(high[1] - low[1], 1e-9)
    )
    middle = (low + high) / 2
    groups = []
    for number, (label, points) in enumerate(embedding.points.items()):
        shape = SHAPES[number % len(SHAPES)]
        places = [(WIDTH / 2 + scale * (x - middle[0]), HEIGHT / 2 - scale * (y - middle[1])) for x, y in points]
        groups.append(
            Group(
                label,
                COLOURS[number % len(COLOURS)],
                shape not in ("cross", "plus", "bar"),
                tuple(_path(shape, x, y) for x, y in places),
                _path(shape, 0.0, 0.0),
            )
        )
    return groups


def _path(shape: str, x: float, y: float) -> str:
    """A shape about a place as an SVG path."""
    r = _RADIUS
    if shape == "circle":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    if shape in ("cross", "plus", "bar"):
        strokes = {
            "cross": ((-r, -r, r, r), (-r, r, r, -r)),
            "plus": ((-r, 0, r, 0), (0, -r, 0, r)),
            "bar": ((-r, 0, r, 0),),
        }
        return "".join(f"M{x + a:.1f} {y + b:.1f}L{x + c:.1f} {y + d:.1f}" for a, b, c, d in strokes[shape])
    corners: dict[str, Sequence[tuple[float, float]]] = {
        "square": ((-r, -r), (r, -r), (r, r), (-r, r)),
        "triangle": ((0, -r), (r, r), (-r, r)),
        "diamond": ((0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0)),
        "triangle-down": ((0, r), (r, -r), (-r, -r)),
    }
    return "M" + "L".join(f"{x + a:.1f} {y + b:.1f}" for a, b in corners[shape]) + "z"


def svg(embedding: Embedding) -> str:
    """The drawing with its legend as a file of its own."""
    groups = scatter(embedding)
    height = HEIGHT + 24 * len(groups)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, group in enumerate(groups):
        drawn = f'fill="{group.colour if group.filled else "none"}" stroke="{group.colour}" stroke-width="1.5"'
        lines.append(f'<path d="{"".join(group.paths)}" {drawn} fill-opacity="0.6"/>')
        top = HEIGHT + 24 * number + 12
        lines.append(f'<g transform="translate(20 {top})"><path d="{group.sign}" {drawn}/>')
        lines.append(f'<text x="14" y="5" font-family="sans-serif" font-size="14">{_escaped(group.label)}</text></g>')
    return "\n".join([*lines, "</svg>", ""])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
