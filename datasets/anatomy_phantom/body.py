"""A trunk: its outline, skin, fat and muscle, and what every organ in it has to know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.anatomy_phantom.canvas import Array, Canvas, Point, ellipsoid_distance
from datasets.anatomy_phantom.constitution import UNTOLD, Constitution

SKIN = 2.0


@dataclass(frozen=True)
class Body:
    """A trunk on its canvas. The origin of z is the dome of the diaphragm.

    Attributes:
        canvas: the canvas on which the trunk is painted.
        rng: draws everything in it.
        a, b: half widths from left to right and from back to front, mm.
        wall: distance to the skin in mm on the whole canvas, negative inside.
        depth: the depth of fat and muscle together with the skin, mm: what lies deeper is the cavity.
        blood: HU of vessels; above 100 there is contrast agent in them.
        constitution: what age and sex do to it.
    """

    canvas: Canvas
    rng: np.random.Generator
    a: float
    b: float
    wall: Array
    depth: float
    blood: float
    constitution: Constitution = UNTOLD

    @property
    def enhanced(self) -> bool:
        """Whether contrast agent was given."""
        return self.blood > 100

    def draw(self, low: float, high: float) -> float:
        """A random number between two."""
        return float(self.rng.uniform(low, high))

    def bone(self, low: float, high: float) -> float:
        """HU of bone: a random number between two, drawn together, and scaled, as age and sex want it."""
        middle, reach = (low + high) / 2, self.constitution.spread * (high - low) / 2
        return self.constitution.density * self.draw(middle - reach, middle + reach)

    def cortex(self, thickness: float) -> float:
        """The thickness in mm of cortical bone that is ``thickness`` where no age is told."""
        return self.constitution.thickness * thickness

    def organ(self, centre: Point, radii: Point, value: float, *, tilt: float = 0.0) -> None:
        """An ellipsoid (z, y, x) mm, cut off where the wall of the trunk begins."""
        widest = max(radii[1:])
        low = [centre[0] - radii[0], centre[1] - widest, centre[2] - widest]
        region = self.canvas.region(low, [2 * c - edge for c, edge in zip(centre, low, strict=True)])
        if region is not None:
            signed = ellipsoid_distance(self.canvas.grid(region), centre, radii, tilt)
            self.canvas.paint(np.maximum(signed, self.wall[region] + self.depth), value, region)


def paint_body(
    canvas: Canvas, rng: np.random.Generator, *, half_width: float, constitution: Constitution = UNTOLD
) -> Body:
    """Skin, subcutaneous fat, muscle, and a cavity filled with fat.

    Args:
        canvas: the canvas in the trunk's coordinates.
        rng: draws shape and thicknesses.
        half_width: half of the width from left to right, mm.
        constitution: what age and sex do to the trunk.
    """
    b = half_width * rng.uniform(0.6, 0.76)
    fat, muscle = rng.uniform(5, 0.2 * half_width), rng.uniform(9, 15)
    wall = _outline(canvas, half_width, b, waist=rng.uniform(0.02, 0.12))
    whole = canvas.whole()
    for depth, value in ((0.0, rng.uniform(-20, 30)), (SKIN, -105.0), (SKIN + fat, 55.0)):
        canvas.paint(wall + depth, value, whole)
    depth = SKIN + fat + muscle
    canvas.paint(wall + depth, _filling(canvas, rng.uniform(-110, -80)), whole)
    blood = float(rng.choice([rng.uniform(38, 50), rng.uniform(120, 190), rng.uniform(200, 330)]))
    return Body(canvas, rng, half_width, b, wall, float(depth), blood, constitution)


def paint_table(body: Body) -> None:
    """The scanner's table under the patient: a foam slab with a denser cover."""
    canvas = body.canvas
    top = -body.b - body.draw(2, 8)
    region = canvas.region((-1e6, top - 24, -1.15 * body.a), (1e6, top, 1.15 * body.a))
    if region is None:
        return
    grid = canvas.grid(region)
    slab = np.maximum(np.abs(grid.y - (top - 12)) - 12, np.abs(grid.x) - 1.15 * body.a)
    outside = 1.0 - body.wall[region]
    for inset, value in ((0.0, -300.0), (2.5, -920.0)):
        canvas.paint(np.maximum(slab + inset, outside), value, region)


def _filling(canvas: Canvas, fat: float) -> Array:
    """(z, 1, 1) HU between the organs: fat, but muscle at the shoulders and below the floor of the pelvis."""
    z = canvas.axes[0].reshape(-1, 1, 1)
    muscle = np.clip((z - 215) / 20, 0, 1) + np.clip((-330 - z) / 20, 0, 1)
    return fat + muscle * (52.0 - fat)


def _outline(canvas: Canvas, a: float, b: float, waist: float) -> Array:
    """Distance to an elliptic trunk that is narrower at the waist and wider at hips and shoulders."""
    grid = canvas.grid(canvas.whole())
    along = 1 - waist * np.cos(2 * np.pi * (canvas.axes[0] + 130) / 420) - waist
    along = along.reshape(-1, 1, 1)
    x, y = grid.x / (a * along), grid.y / (b * along)
    level = np.sqrt(x * x + y * y)
    slope = np.sqrt((x / a) ** 2 + (y / b) ** 2) / along
    return (level - 1) * level / (slope + 1e-12)
