"""Two legs, from mid thigh to mid shank; the origin is at the knees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.anatomy_phantom.canvas import Canvas


@dataclass(frozen=True)
class _Leg:
    """One leg at ``x`` mm: half width of its muscle, thickness of its fat, HU of bone, marrow and blood."""

    x: float
    side: float
    muscle: float
    fat: float
    bone: float
    marrow: float
    blood: float


def paint_limbs(canvas: Canvas, rng: np.random.Generator) -> None:
    """Skin, fat, muscles with fat between them, bones with marrow, joints, vessels; a lump in some."""
    muscle, fat = rng.uniform(42, 62), rng.uniform(4, 20)
    gap = muscle + fat + rng.uniform(4, 20)
    bone, marrow, blood = rng.uniform(1000, 1500), rng.uniform(-80, 0), float(rng.choice([42.0, 230.0]))
    for side in (-1.0, 1.0):
        leg = _Leg(side * gap, side, muscle * rng.uniform(0.95, 1.05), fat, bone, marrow, blood)
        _soft(canvas, rng, leg)
        _bones(canvas, leg)
        _vessels(canvas, leg)
    if rng.uniform() < 0.5:
        spot = (rng.uniform(-150, 150), rng.uniform(-20, 20), gap + rng.uniform(-20, 20))
        canvas.ellipsoid(spot, rng.uniform(8, 35, 3), float(rng.choice([-110.0, 25.0, 65.0])))


def _soft(canvas: Canvas, rng: np.random.Generator, leg: _Leg) -> None:
    for extra, value in ((leg.fat + 2, 10.0), (leg.fat, -105.0), (0.0, 58.0)):
        for start, stop, wide, wide_stop in ((0.0, 500.0, 0.82, 1.35), (0.0, -500.0, 0.82, 0.75)):
            ends = (start, 0.0, leg.x), (stop, 0.0, leg.x)
            canvas.capsule(*ends, leg.muscle * wide + extra, value, leg.muscle * wide_stop + extra)
    for _ in range(7):  # fat planes between the muscles run out from the bone
        angle, reach = rng.uniform(0, 2 * np.pi), leg.muscle * rng.uniform(0.35, 0.6)
        place = (rng.uniform(-200, 200), reach * np.sin(angle), leg.x + reach * np.cos(angle))
        canvas.ellipsoid(place, (120, rng.uniform(1.2, 2.5), leg.muscle * 0.4), -80.0, tilt=float(angle))


def _bones(canvas: Canvas, leg: _Leg) -> None:
    x = leg.x
    shafts = [((60, 8, x), (500, 4, x), 15.0), ((-60, 6, x - 4 * leg.side), (-500, 10, x - 6 * leg.side), 13.0)]
    for start, stop, radius in shafts:
        canvas.capsule(start, stop, radius, leg.bone)
        canvas.capsule(start, stop, radius - 5, leg.marrow)
    fibula = (-45, -14, x + 26 * leg.side), (-500, -8, x + 26 * leg.side)
    canvas.capsule(*fibula, 7.0, leg.bone)
    canvas.capsule(*fibula, 3.5, leg.marrow)
    ends = [((22, -4, x - 22), (26, 25, 21)), ((22, -4, x + 22), (26, 25, 21)), ((-26, 0, x), (24, 25, 38))]
    for centre, radii in [*ends, ((14, 34, x), (20, 10, 20))]:
        canvas.ellipsoid(centre, radii, leg.bone * 0.65)
        canvas.ellipsoid(centre, [radius - 2 for radius in radii], 220.0)


def _vessels(canvas: Canvas, leg: _Leg) -> None:
    for start, stop in ((-400.0, 0.0), (0.0, 400.0)):
        canvas.capsule((start, -26, leg.x - 6), (stop, -26, leg.x - 6), 3.5, leg.blood)
        canvas.capsule((start, -30, leg.x + 3), (stop, -30, leg.x + 3), 4.5, leg.blood * 0.8)
