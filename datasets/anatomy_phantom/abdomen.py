"""Organs of the belly and pelvis."""

from __future__ import annotations

import itertools

import numpy as np

from datasets.anatomy_phantom.body import Body
from datasets.anatomy_phantom.skeleton import spine_y
from datasets.anatomy_phantom.trees import grow, paint_tree, within_ellipsoid

LABELS = {1: "kidney", 2: "tumour", 3: "cyst"}
"""The label maps of phantoms: names by number. The fat and the urine in the middle of a kidney have no label."""

_GAS = -930.0
_KIDNEY, _TUMOUR, _CYST = LABELS


def paint_abdomen(body: Body) -> None:
    """Back muscles, bowel, liver, gall bladder, spleen, stomach, pancreas, kidneys, bladder."""
    for side in (-1.0, 1.0):
        body.canvas.capsule(
            (-60.0, spine_y(body) + 2, side * 28), (-330.0, 0.1 * body.b, side * 62), 12.0, 58.0, 21.0
        )  # the psoas
    for _ in range(int(body.rng.integers(3, 6))):
        _bowel(body)
    _colon(body)
    for side in (-1.0, 1.0):
        _kidney(body, side)
    _pancreas(body)
    _spleen_and_stomach(body)
    _liver(body)
    body.organ((-330.0, 0.3 * body.b, 0.0), [body.draw(20, 42), body.draw(22, 38), body.draw(28, 48)], 5.0)


def _liver(body: Body) -> None:
    size = body.draw(0.88, 1.12)
    tissue = body.draw(45, 65) + 0.35 * max(0.0, body.blood - 50) * body.draw(0.5, 1.0)
    centre, radii = (-48.0, -0.02 * body.b, 0.5 * body.a), (78 * size, 0.68 * body.b, 0.46 * body.a)
    body.organ(centre, radii, tissue)
    body.organ((-30.0, 0.32 * body.b, 0.05 * body.a), (42 * size, 0.34 * body.b, 0.5 * body.a), tissue, tilt=0.25)
    gate = (-45.0, 0.05 * body.b, 0.2 * body.a)
    vein = body.blood if body.enhanced else tissue - 12
    for heading in ((0.2, -0.3, 1.0), (0.6, 0.5, 0.8), (-0.8, -0.1, 0.8)):
        inside = within_ellipsoid(centre, radii, 0.9)
        tree = grow(gate, heading, length=36, radius=5.0, generations=5, inside=inside, rng=body.rng)
        paint_tree(body.canvas, tree, vein)
    for _ in range(int(body.rng.integers(0, 5))):
        spot = [c + 0.6 * r * body.draw(-1, 1) for c, r in zip(centre, radii, strict=True)]
        body.organ(spot, [body.draw(3, 18)] * 3, float(body.rng.choice([5.0, tissue - 30, tissue + 35])))
    body.organ((-85.0, 0.3 * body.b, 0.3 * body.a), (24.0, 14.0, 14.0), body.draw(0, 18), tilt=0.4)  # gall bladder


def _spleen_and_stomach(body: Body) -> None:
    spleen = 48 + 0.45 * max(0.0, body.blood - 50)
    body.organ((-40.0, -0.3 * body.b, -0.62 * body.a), (body.draw(40, 60), 36.0, 24.0), spleen, tilt=-0.6)
    centre = (-40.0, 0.25 * body.b, -0.42 * body.a)
    radii = [body.draw(35, 50), body.draw(28, 42), body.draw(32, 48)]
    body.organ(centre, radii, 50.0, tilt=0.4)
    inner = [radius - 4 for radius in radii]
    body.organ(centre, inner, body.draw(0, 60), tilt=0.4)
    rise = body.draw(0.2, 0.9) * inner[1]  # gas gathers in front, where a patient on the back has the highest point
    body.organ((centre[0], centre[1] + rise, centre[2]), [r * 0.55 for r in inner], _GAS)


def _pancreas(body: Body) -> None:
    tissue, y = body.draw(30, 45) + 0.25 * max(0.0, body.blood - 50), spine_y(body) + 48
    line = [(-95.0, y, 28.0), (-82.0, y + 8, 4.0), (-72.0, y - 2, -28.0), (-58.0, y - 20, -62.0)]
    body.canvas.tube(line, body.draw(8, 13), tissue)


def _kidney(body: Body, side: float) -> None:
    """Cortex, medulla, fat and urine in the middle; a tumour or cysts in some."""
    canvas, size = body.canvas, body.draw(0.85, 1.15)
    centre = (body.draw(-120, -95), spine_y(body) + 8, side * 0.44 * body.a)
    tilt = side * 0.5
    cortex = 32 + (0.6 * (body.blood - 50) if body.enhanced else 0)
    canvas.ellipsoid(centre, (52 * size, 25 * size, 29 * size), cortex, tilt=tilt, label=_KIDNEY)
    medulla = 30 + (0.35 * (body.blood - 50) if body.enhanced else 0)
    for z in (-28.0, -10.0, 10.0, 28.0):
        place = (centre[0] + z * size, centre[1], centre[2])
        canvas.ellipsoid(place, (8 * size, 15 * size, 18 * size), medulla, tilt=tilt, label=_KIDNEY)
    inner = (centre[0], centre[1] + 3, centre[2] - side * 10 * size)
    canvas.ellipsoid(inner, (27 * size, 10 * size, 14 * size), -75.0, tilt=tilt)
    canvas.ellipsoid(inner, (15 * size, 5 * size, 8 * size), body.draw(0, 30), tilt=tilt)
    lesion = body.draw(0, 1)
    radius, value = (body.draw(10, 34), cortex * body.draw(0.4, 0.9)) if lesion < 0.35 else (body.draw(4, 20), 5.0)
    place = (centre[0] + body.draw(-40, 40), centre[1] + body.draw(-12, 12), centre[2] + side * body.draw(5, 25))
    if lesion < 0.7:
        label = _TUMOUR if lesion < 0.35 else _CYST
        canvas.ellipsoid(place, (radius, radius * 0.95, radius * 1.05), value, label=label)


def _bowel(body: Body) -> None:
    """A loop of small bowel: a walk that keeps its direction for a while and stays in the belly."""
    points = [np.array([body.draw(-260, -120), body.draw(0.0, 0.4) * body.b, body.draw(-0.4, 0.4) * body.a])]
    heading = body.rng.standard_normal(3)
    for _ in range(28):
        heading = 0.75 * heading + 0.6 * body.rng.standard_normal(3)
        step = points[-1] + 15 * heading / np.sqrt((heading * heading).sum())
        step[0] = np.clip(step[0], -290, -80)
        step[1] = np.clip(step[1], -0.05 * body.b, 0.52 * body.b)
        step[2] = np.clip(step[2], -0.5 * body.a, 0.5 * body.a)
        points.append(step)
    _gut(body, points, body.draw(8, 13), gas=0.12)


def _colon(body: Body) -> None:
    """Up on the right, across, and down on the left."""
    b, a = body.b, body.a
    corners = [
        (-280.0, 0.0, 0.62 * a),
        (-130.0, 0.0, 0.64 * a),
        (-150.0, 0.5 * b, 0.3 * a),
        (-160.0, 0.5 * b, -0.25 * a),
        (-95.0, 0.05 * b, -0.66 * a),
        (-290.0, 0.05 * b, -0.62 * a),
        (-320.0, -0.1 * b, -0.1 * a),
    ]
    points = [np.array(corners[0])]
    for start, stop in itertools.pairwise(corners):
        for share in (0.25, 0.5, 0.75, 1.0):
            along = np.array(start) + share * (np.array(stop) - np.array(start))
            points.append(along + 4 * body.rng.standard_normal(3))
    _gut(body, points, body.draw(14, 21), gas=0.4)


def _gut(body: Body, points: list[np.ndarray], radius: float, gas: float) -> None:
    """A tube with a wall, filled piece by piece with gas, fluid or food."""
    body.canvas.tube(points, radius, 48.0 + 0.2 * max(0.0, body.blood - 50))
    for start, stop in itertools.pairwise(points):
        filling = _GAS if body.draw(0, 1) < gas else body.draw(-10, 70)
        body.canvas.capsule(start, stop, radius - body.draw(2, 4), filling)
