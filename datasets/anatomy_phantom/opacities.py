"""Opacities in the lungs, as pneumonia makes them: hazy ground glass, and consolidations in some of it."""

from __future__ import annotations

import numpy as np

from datasets.anatomy_phantom.body import Body
from datasets.anatomy_phantom.canvas import ellipsoid_distance, smooth_noise

_ROUGH = 8.0  # mm over which the outline of an opacity varies, and over which it fades


def paint_opacities(body: Body, rng: np.random.Generator) -> None:
    """Two to five opacities in each lung, most of them at the back and below; vessels and walls show through.

    Args:
        body: the trunk with everything in it.
        rng: draws the opacities alone, so that all else is as without them.
    """
    for side in (-1.0, 1.0):
        for _ in range(int(rng.integers(2, 6))):
            _opacity(body, side, rng)


def _opacity(body: Body, side: float, rng: np.random.Generator) -> None:
    canvas = body.canvas
    lung = ((92.0, 130.0), (-0.08 * body.b, 0.74 * body.b), (side * 0.47 * body.a, 0.37 * body.a))
    places = (rng.uniform(-0.7, 0.35), rng.uniform(-0.8, 0.2), side * rng.uniform(-0.2, 0.75))
    spot = [middle + radius * place for (middle, radius), place in zip(lung, places, strict=True)]
    radii = [float(rng.uniform(16, 38)) for _ in range(3)]
    value = float(rng.uniform(-80, 30) if rng.uniform() < 0.25 else rng.uniform(-620, -350))
    low, high = ([c + sign * (r + _ROUGH) for c, r in zip(spot, radii, strict=True)] for sign in (-1, 1))
    region = canvas.region(low, high)
    if region is None:
        return
    hu = canvas.hu[region]
    z, y, x = (_ROUGH / step for step in canvas.spacing)
    signed = ellipsoid_distance(canvas.grid(region), spot, radii) + 0.5 * _ROUGH * smooth_noise(
        hu.shape, (z, y, x), rng
    )
    parenchyma = np.clip((-600 - hu) / 100, 0, 1) * np.clip((hu + 955) / 30, 0, 1)  # neither vessels nor airways
    weight = np.clip(0.5 - signed / _ROUGH, 0, 1) * parenchyma * (body.wall[region] < -body.depth)
    canvas.hu[region] += weight * (value - hu)
