"""A volume at a glance, as HTML for notebooks: its three middle planes, turned for people, and lines of facts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import numpy as np

from recon.pictures import figures
from recon.pictures.planes import PLANES, Plane

SIDE = 224
"""Longest side of the pictures on the page, in pixels; all are to one scale."""

SOFT_TISSUE = (-160.0, 240.0)
"""The grey window of bodies, in HU."""

_DENSE_HU, _BODY_HU = -500.0, (-400.0, 500.0)


def is_like_a_body(image: np.ndarray) -> bool:
    """Whether values in HU are those of a body: what is no air and no lung has a median like soft tissue's."""
    dense = image[np.isfinite(image) & (image > _DENSE_HU)]
    return dense.size == 0 or _BODY_HU[0] <= float(np.median(dense)) <= _BODY_HU[1]


def window_of(image: np.ndarray, in_hu: bool) -> tuple[float, float]:
    """The values drawn black and white: soft tissue for bodies in HU, else what holds nearly all values."""
    return SOFT_TISSUE if in_hu and is_like_a_body(image) else figures.finite_range(image, 0.5, 99.5)


def glance(
    columns: Sequence[tuple[str, np.ndarray]],
    spacing: tuple[float, float, float],
    window: tuple[float, float],
    facts: Iterable[str],
    planes: Sequence[Plane] = PLANES,
) -> str:
    """HTML of pictures side by side with facts below; it needs nothing but itself.

    Args:
        columns: captions with (z, y, x) volumes; each is shown in every plane.
        spacing: voxel size (z, y, x) in mm.
        window: the values drawn black and white.
        facts: lines of text.
        planes: the planes to show, each in its middle.
    """
    first = columns[0][1]
    shown = [each for each in planes if min(first.shape[each.rows], first.shape[each.columns]) > 1]
    longest = max((max(_extent(plane, first, spacing)) for plane in shown), default=1.0)
    pictures = [
        _figure(plane, caption, image, tuple(SIDE * side / longest for side in _extent(plane, image, spacing)), window)
        for caption, image in columns
        for plane in shown
    ]
    lines = "".join(f"<div>{html.escape(line)}</div>" for line in facts)
    row = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(pictures)}</div>'
    return f'<div style="font-size:90%">{row}{lines}</div>'


def _extent(plane: Plane, image: np.ndarray, spacing: tuple[float, float, float]) -> tuple[float, ...]:
    """Height and width of a volume's pictures in mm."""
    return tuple(image.shape[axis] * spacing[axis] for axis in (plane.rows, plane.columns))


def _figure(plane: Plane, caption: str, image: np.ndarray, size: tuple[float, ...], window: tuple[float, float]) -> str:
    picture = plane.picture(image, image.shape[plane.axis] // 2)
    source = figures.png(figures.to_bytes(picture, *window))
    words = f"{caption} {plane.name}".strip()
    return (
        f'<figure style="margin:0"><img src="{source}" alt="{html.escape(words)}" style="height:{size[0]:.0f}px;'
        f'width:{size[1]:.0f}px;max-width:none"><figcaption>{html.escape(words)}</figcaption></figure>'
    )
