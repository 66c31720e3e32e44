"""Bones of the trunk: spine, ribs, sternum, pelvis, hips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets.anatomy_phantom.body import Body
from datasets.anatomy_phantom.canvas import ellipsoid_distance

_RIBS = (-70.0, 225.0)  # mm below and above the dome of the diaphragm


def spine_y(body: Body) -> float:
    """Where the middle of the vertebral bodies lies, mm."""
    return -0.5 * body.b


def paint_spine(body: Body) -> None:
    """Vertebrae with cortical and spongy bone, discs, canal, and their processes."""
    canvas, y = body.canvas, spine_y(body)
    pitch, width, depth = body.draw(25, 33), body.draw(18, 25), body.draw(14, 18)
    cortical, spongy = body.bone(350, 600), body.bone(110, 240)
    region = canvas.region((-1e6, y - depth, -width), (1e6, y + depth, width))
    if region is None:
        return
    grid = canvas.grid(region)
    column = ellipsoid_distance(grid, (0, y, 0), (1e6, depth, width))
    canvas.paint(column, 85.0, region)  # discs, where no vertebra follows
    height = np.abs(np.mod(grid.z, pitch) - pitch / 2) - (pitch / 2 - 2.5)
    vertebra = np.maximum(column, height)
    canvas.paint(vertebra, cortical, region)
    canvas.paint(vertebra + body.cortex(2.0), spongy, region)
    _arch(body, y - depth - 9, cortical)
    _processes(body, y - depth - 9, pitch, cortical)


def paint_ribs(body: Body) -> None:
    """Ribs in the wall of the chest, falling to the front, where they turn to cartilage; and the breastbone."""
    canvas = body.canvas
    pitch, radius, fall = body.draw(23, 30), body.draw(5.0, 7.0), body.draw(25, 50)
    start, bone = body.draw(0, 30), body.bone(350, 650)
    body_z, height = body.draw(95, 120), body.draw(70, 90)
    region = canvas.region((_RIBS[0], -1e6, -1e6), (_RIBS[1], 1e6, 1e6))
    if region is not None:
        grid = canvas.grid(region)
        front = grid.y / body.b
        across = (body.wall[region] + body.depth - 4.0) / 0.55
        along = np.mod(grid.z + fall * front - start, pitch) - pitch / 2
        distance = np.maximum(np.sqrt(across**2 + along**2) - radius, _RIBS[0] - grid.z)
        cartilage = np.clip((front - 0.55) / 0.15, 0, 1)
        canvas.paint(distance, bone + cartilage * (110 - bone), region)
        canvas.paint(distance + body.cortex(2.2), bone / 3 + cartilage * (110 - bone / 3), region)
    y = body.b - body.depth + 3
    canvas.ellipsoid((body_z, y, 0), (height, 6.0, 17.0), bone * 0.8)
    canvas.ellipsoid((body_z, y, 0), (height - 2, 3.5, 14.5), bone * 0.3)


def paint_pelvis(body: Body) -> None:
    """Iliac wings, sacrum, hip joints and the upper thigh bones."""
    canvas = body.canvas
    floor, bone = body.draw(-345, -315), body.bone(450, 750)
    half, head = 0.58 * body.a, body.draw(21, 26)
    canvas.ellipsoid((floor + 75, spine_y(body) - 6, 0), (60, 20, 42), bone * 0.8)
    canvas.ellipsoid((floor + 75, spine_y(body) - 6, 0), _within((60, 20, 42), body.cortex(3)), _spongy(body, 160.0))
    for side in (-1.0, 1.0):
        _wing(body, (floor + 70, -0.15 * body.b, side * 0.52 * half), side, bone)
        joint = (floor - 25, 0.02 * body.b, side * half)
        shaft = (floor - 160, -0.02 * body.b, side * half * 1.1)
        canvas.ellipsoid(joint, (head + 7, head + 7, head + 7), bone)
        canvas.ellipsoid(joint, (head + 3, head + 3, head + 3), 60.0)  # cartilage between socket and head
        canvas.ellipsoid(joint, (head, head, head), bone)
        canvas.ellipsoid(joint, (head - body.cortex(2.5),) * 3, _spongy(body, 260.0))
        knee = (joint[0] - 30, joint[1] - 5, joint[2] + side * 38)
        canvas.tube([joint, knee, shaft], 14.0, bone * 1.5)
        canvas.tube([joint, knee, shaft], 14.0 - body.cortex(6.0), -20.0)


def _arch(body: Body, y: float, bone: float) -> None:
    """The ring of bone around the spinal canal, and the cord in it."""
    region = body.canvas.region((-1e6, y - 14, -16), (1e6, y + 14, 16))
    if region is None:
        return
    canal = ellipsoid_distance(body.canvas.grid(region), (0, y, 0), (1e6, 9.5, 11.5))
    for margin, value in ((4.0, bone), (0.0, 15.0), (-4.5, 38.0)):
        body.canvas.paint(canal - margin, value, region)


def _processes(body: Body, y: float, pitch: float, bone: float) -> None:
    axis = body.canvas.axes[0]
    for index in range(int(np.floor(axis[0] / pitch)) - 1, int(np.ceil(axis[-1] / pitch)) + 1):
        z = (index + 0.5) * pitch
        body.canvas.capsule((z, y - 12, 0), (z - 12, y - 34, 0), 4.0, bone * 0.8, 3.0)
        for side in (-1.0, 1.0):
            body.canvas.capsule((z, y + 4, side * 14), (z + 3, y - 6, side * 42), 4.5, bone * 0.7, 3.0)


def _wing(body: Body, centre: tuple[float, float, float], side: float, bone: float) -> None:
    """The outer half of an ellipsoidal shell, open to the middle of the body."""
    canvas, radii = body.canvas, (88.0, 0.62 * body.b, 0.3 * body.a)
    region = canvas.region([c - r for c, r in zip(centre, radii, strict=True)], [c + 90 for c in centre])
    if region is None:
        return
    grid = canvas.grid(region)
    shell = np.abs(ellipsoid_distance(grid, centre, radii)) - 5.0
    outer = np.maximum(shell, -side * (grid.x - centre[2]))
    inside = np.maximum(outer, body.wall[region] + body.depth - 8)
    canvas.paint(inside, bone, region)
    canvas.paint(inside + body.cortex(2.0), _spongy(body, 180.0), region)


def _spongy(body: Body, value: float) -> float:
    """HU of spongy bone that has ``value`` where no age is told."""
    return body.constitution.density * value


def _within(radii: Sequence[float], margin: float) -> list[float]:
    return [radius - margin for radius in radii]
