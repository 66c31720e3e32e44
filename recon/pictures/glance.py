"""A volume at a glance, as HTML for notebooks: its three middle planes, turned for people, and lines of facts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import numpy as np

from recon.pictures import figures
from recon.pictures.planes import PLANES, Plane

SIDE = 192
"""Height of a picture on the page, in pixels."""

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
    shown = [each for each in planes if min(columns[0][1].shape[each.rows], columns[0][1].shape[each.columns]) > 1]
    pictures = [_figure(plane, caption, image, spacing, window) for caption, image in columns for plane in shown]
    lines = "".join(f"<div>{html.escape(line)}</div>" for line in facts)
    row = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(pictures)}</div>'
    return f'<div style="font-size:90%">{row}{lines}</div>'


def _figure(
    plane: Plane, caption: str, image: np.ndarray, spacing: tuple[float, float, float], window: tuple[float, float]
) -> str:
    picture = plane.picture(image, image.shape[plane.axis] // 2)
    height, width = (n * spacing[axis] for n, axis in zip(picture.shape, (plane.rows, plane.columns), strict=True))
    source = figures.png(figures.to_bytes(picture, *window))
    words = f"{caption} {plane.name}".strip()
    return (
        f'<figure style="margin:0"><img src="{source}" alt="{html.escape(words)}" style="height:{SIDE}px;'
        f'width:{SIDE * width / height:.0f}px"><figcaption>{html.escape(words)}</figcaption></figure>'
    )
