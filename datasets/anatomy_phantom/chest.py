"""Organs of the chest: lungs with airways and vessels, heart, great vessels."""

from __future__ import annotations

import numpy as np

from datasets.anatomy_phantom.body import Body
from datasets.anatomy_phantom.canvas import ellipsoid_distance, smooth_noise
from datasets.anatomy_phantom.skeleton import spine_y
from datasets.anatomy_phantom.trees import grow, paint_tree, within_ellipsoid

_CARINA = 105.0  # mm above the dome of the diaphragm


def paint_chest(body: Body, noise: np.random.Generator) -> None:
    """Everything between the lungs and in them.

    Args:
        body: the trunk, its wall and bones painted.
        noise: draws the lungs' texture; how much it draws depends on the grid.
    """
    for side in (-1.0, 1.0):
        _lung(body, side, noise)
    _great_vessels(body)
    _heart(body)
    _airways(body)


def _lung(body: Body, side: float, noise: np.random.Generator) -> None:
    canvas = body.canvas
    centre = (92.0, -0.08 * body.b, side * 0.47 * body.a)
    radii = (body.draw(120, 140), 0.74 * body.b, 0.37 * body.a)
    air, gradient, dome = body.draw(-890, -820), body.draw(20, 70), body.draw(0, 25)
    region = canvas.region([c - r for c, r in zip(centre, radii, strict=True)], [c + 145 for c in centre])
    if region is not None:
        grid = canvas.grid(region)
        x, y = (grid.x - centre[2]) / radii[2], (grid.y - centre[1]) / radii[1]
        diaphragm = (dome - 38 * (x * x + y * y)) - grid.z
        chest = body.wall[region] + body.depth + 3.0
        signed = np.maximum(np.maximum(ellipsoid_distance(grid, centre, radii), diaphragm), chest)
        cells = [2.0 / step for step in canvas.spacing]
        texture = smooth_noise(signed.shape, (cells[0], cells[1], cells[2]), noise)
        canvas.paint(signed, air - gradient * grid.y / body.b + 25 * texture, region)
    inside = within_ellipsoid(centre, radii, 0.88)
    for heading in ((0.9, -0.3, side), (-0.5, -0.5, side), (-0.9, 0.5, side), (0.2, 0.8, side)):
        root = (_CARINA - 35, 0.0, side * 0.22 * body.a)
        tree = grow(root, heading, length=34, radius=5.0, generations=7, inside=inside, rng=body.rng)
        paint_tree(canvas, tree, body.blood * 0.8)
    if body.draw(0, 1) < 0.3:
        spot = [c + 0.6 * r * body.draw(-1, 1) for c, r in zip(centre, radii, strict=True)]
        canvas.ellipsoid(spot, [body.draw(3, 14) for _ in range(3)], body.draw(10, 60))  # a nodule


def _great_vessels(body: Body) -> None:
    """Descending aorta beside the spine, its arch, the vena cava; chalk in the wall of some."""
    canvas, radius = body.canvas, body.draw(10, 15)
    y, x = spine_y(body) + 27, -18.0
    arch = [
        (20.0, 0.15 * body.b, -6.0),
        (110.0, 0.3 * body.b, 8.0),
        (145.0, 0.05 * body.b, -4.0),
        (115.0, y, x - 8),
        (-20.0, y, x),
        (-210.0, y + 8, -6.0),
    ]
    for wider, value in ((1.5, 50.0), (0.0, body.blood)):
        canvas.tube(arch, radius + wider, value)
        canvas.tube([(-260.0, y, 16.0), (-60.0, y + 10, 22.0), (30.0, 0.1 * body.b, 24.0)], radius + wider - 2, value)
        canvas.tube([(70.0, 0.1 * body.b, 26.0), (210.0, 0.1 * body.b, 26.0)], radius + wider - 4, value)
    for _ in range(int(body.rng.integers(0, 9))):
        z, angle = body.draw(-200, 100), body.draw(0, 2 * np.pi)
        spot = (z, y + radius * np.sin(angle), x + radius * np.cos(angle))
        canvas.ellipsoid(spot, (body.draw(1.5, 6), 2.0, 2.0), body.draw(400, 1000))


def _heart(body: Body) -> None:
    size, tilt = body.draw(0.85, 1.1), body.draw(0.3, 0.8)
    centre = (38.0, 0.24 * body.b, -0.1 * body.a)
    muscle = 50.0 + 0.35 * max(0.0, body.blood - 50)
    body.organ(centre, (55 * size, 47 * size, 56 * size), -85.0, tilt=tilt)  # fat around it
    body.organ(centre, (51 * size, 43 * size, 52 * size), muscle, tilt=tilt)
    chambers = ((30.0, 6.0, -24.0, 30.0, 19.0), (34.0, 18.0, 14.0, 31.0, 16.0), (62.0, -14.0, -8.0, 17.0, 20.0))
    for z, y, x, high, wide in chambers:
        body.organ((z, centre[1] + y - 6, centre[2] + x), (high * size, wide * size, wide * size), body.blood)


def _airways(body: Body) -> None:
    """Windpipe, main bronchi and a few generations more, with their walls."""
    canvas, radius = body.canvas, body.draw(7.5, 10.0)
    carina = (_CARINA, -0.05 * body.b, 2.0)
    trunk = [(320.0, 0.0, 0.0), carina]
    trees = []
    for side in (-1.0, 1.0):
        inside = within_ellipsoid((92.0, -0.08 * body.b, side * 0.47 * body.a), (120, 0.6 * body.b, 0.32 * body.a))
        heading = (-0.7, -0.1, side)
        trees.append(grow(carina, heading, length=42, radius=0.62 * radius, generations=5, inside=inside, rng=body.rng))
    canvas.tube(trunk, radius + 2.0, 40.0)
    for tree in trees:
        paint_tree(canvas, tree, -150.0, wider=1.0)
    canvas.tube(trunk, radius, -985.0)
    for tree in trees:
        paint_tree(canvas, tree, -960.0)
