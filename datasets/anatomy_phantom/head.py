"""A head and the neck under it."""

from __future__ import annotations

import numpy as np

from datasets.anatomy_phantom.canvas import Canvas, ellipsoid_distance, smooth_noise


def paint_head(canvas: Canvas, rng: np.random.Generator, noise: np.random.Generator) -> None:
    """Scalp, skull, brain with ventricles, eyes, sinuses, jaw, teeth, throat, neck. The origin is the brain's middle.

    Args:
        canvas: a canvas at least 200 mm wide.
        rng: draws the anatomy.
        noise: draws the brain's texture; how much it draws depends on the grid.
    """
    size = rng.uniform(0.9, 1.05)
    radii = np.array([78.0, 92.0, 74.0]) * size * rng.uniform(0.95, 1.05, 3)
    _neck(canvas, rng, size)
    _face(canvas, rng, size)
    canvas.ellipsoid((0, 0, 0), radii + 6, rng.uniform(0, 40))  # scalp
    thick = rng.uniform(4.5, 8.0)
    canvas.ellipsoid((0, 0, 0), radii, rng.uniform(900, 1400))
    canvas.ellipsoid((0, 0, 0), radii - 1.6, 450.0)  # the spongy layer between the skull's tables
    canvas.ellipsoid((0, 0, 0), radii - thick + 1.6, rng.uniform(900, 1400))
    canvas.ellipsoid((0, 0, 0), radii - thick, 8.0)  # fluid around the brain
    _brain(canvas, rng, noise, radii - thick - rng.uniform(1, 4))
    _bony_floor(canvas, rng, size)


def _brain(canvas: Canvas, rng: np.random.Generator, noise: np.random.Generator, radii: np.ndarray) -> None:
    """Grey matter folded into white matter, the gap between the hemispheres, ventricles."""
    region = canvas.region(-radii, radii)
    swell = rng.uniform(0.7, 1.6)
    if region is not None:
        grid = canvas.grid(region)
        surface = ellipsoid_distance(grid, (0, 0, 0), radii)
        cells = [5.0 / step for step in canvas.spacing]
        folds = smooth_noise(surface.shape, (cells[0], cells[1], cells[2]), noise)
        canvas.paint(surface, 38.0, region)
        canvas.paint(surface + 5.0 + 4.0 * folds, 29.0, region)
        sulci = np.maximum(surface, 2.2 - np.abs(folds - 1.6) * 2.0 + 0.25 * np.abs(surface + 4))
        canvas.paint(sulci, 10.0, region, opacity=0.6)
        canvas.paint(np.maximum(np.maximum(np.abs(grid.x) - 1.3, surface), 20 - grid.z), 12.0, region)
    for side in (-1.0, 1.0):
        canvas.ellipsoid((12, 8, side * 11), (9 * swell, 30 * swell, 5 * swell), 6.0, tilt=side * 0.25)
        canvas.ellipsoid((8, 5, side * 23), (9, 14, 7), 37.0)  # basal ganglia
    canvas.ellipsoid((-8, 0, 0), (9, 12, 2.2 * swell), 6.0)
    canvas.ellipsoid((-48, -45, 0), (20, 22, 38), 36.0)  # cerebellum
    if rng.uniform() < 0.3:
        spot = rng.uniform(-0.5, 0.5, 3) * radii
        canvas.ellipsoid(spot, rng.uniform(4, 16, 3), float(rng.choice([70.0, 18.0])))  # a bleeding, an old stroke


def _face(canvas: Canvas, rng: np.random.Generator, size: float) -> None:
    canvas.ellipsoid((-68 * size, 42 * size, 0), (62 * size, 56 * size, 58 * size), 40.0)
    bone = rng.uniform(500, 900)
    for side in (-1.0, 1.0):
        eye = (-38 * size, 78 * size, side * 32 * size)
        canvas.ellipsoid(eye, (20, 20, 20), -70.0)
        canvas.ellipsoid(eye, (12.5, 12.5, 12.5), 10.0)
        canvas.ellipsoid((eye[0], eye[1] + 9, eye[2]), (4.5, 2.5, 4.5), 85.0)
        cavity = (-68 * size, 62 * size, side * 26 * size)
        canvas.ellipsoid(cavity, (19, 20, 16), bone)
        canvas.ellipsoid(cavity, (17.5, 18.5, 14.5), -985.0 if rng.uniform() < 0.8 else 20.0)
    canvas.ellipsoid((-62 * size, 74 * size, 0), (20, 26, 8), -980.0)  # nose
    jaw = [(-70, -5, 48), (-108, 20, 42), (-118, 72, 16), (-118, 72, -16), (-108, 20, -42), (-70, -5, -48)]
    line = [tuple(size * part for part in point) for point in jaw]
    canvas.tube(line, 6.5, bone * 1.6)
    canvas.tube(line, 3.0, 150.0)
    for angle in np.linspace(-1.1, 1.1, 14):
        tooth = (-104 * size, (36 + 36 * np.cos(angle)) * size, 30 * np.sin(angle) * size)
        metal = rng.uniform() < 0.06
        canvas.capsule(tooth, (tooth[0] + 16, tooth[1], tooth[2]), 3.2, 3000.0 if metal else rng.uniform(1400, 2200))


def _neck(canvas: Canvas, rng: np.random.Generator, size: float) -> None:
    for radius, value in ((58.0, 20.0), (56.0, -95.0), (51.0, 52.0)):
        canvas.capsule((-60, -15, 0), (-400, -15, 0), radius * size, value)
    canvas.capsule((-95, 12, 0), (-400, 20, 0), 9.0, -980.0)
    for z in np.arange(-330, -60, 20.0):
        canvas.ellipsoid((z, -28, 0), (8, 9, 12), 550.0)
        canvas.ellipsoid((z, -28, 0), (6.5, 7.5, 10.5), 260.0)
        canvas.capsule((z, -50, 0), (z - 6, -68, 0), 3.5, 500.0)
    blood = float(rng.choice([45.0, 180.0]))
    for side in (-1.0, 1.0):
        canvas.capsule((-60, 0, side * 32), (-400, 5, side * 26), 4.0, blood)
        canvas.capsule((-60, -4, side * 42), (-400, 2, side * 36), 6.0, blood * 0.8)


def _bony_floor(canvas: Canvas, rng: np.random.Generator, size: float) -> None:
    """The rocky bones around the ears, riddled with air cells."""
    for side in (-1.0, 1.0):
        outer, inner = (-48 * size, -18, side * 60 * size), (-40 * size, 8, side * 22)
        canvas.capsule(outer, inner, 9.0, rng.uniform(900, 1500), 5.0)
        cells = np.array([-52 * size, -24 * size, side * 60 * size])
        for _ in range(18):
            canvas.ellipsoid(cells + rng.uniform(-9, 9, 3), rng.uniform(1.5, 3.5, 3), -850.0)
