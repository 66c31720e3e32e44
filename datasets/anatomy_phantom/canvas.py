"""A voxel grid in millimetres on which bodies are painted one over the other, their edges as wide as a voxel.

Everything is computed in double precision and rounded to whole HU at the end, so that the last bits in which one
platform's sine differs from another's do not show.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Point = Sequence[float] | np.ndarray
Region = tuple[slice, slice, slice]

AIR = -1000.0


@dataclass(frozen=True)
class Grid:
    """The coordinates (z, y, x) of a box of voxels in mm, as arrays that broadcast against one another."""

    z: Array
    y: Array
    x: Array


class Canvas:
    """HU on a grid whose origin is its centre; z to the Superior, y to the Anterior, x to the Right.

    Coordinates are bent by a few slow sine waves before bodies are drawn on them, so that no shape is exactly an
    ellipsoid and no two anatomies are scaled copies of one.

    Args:
        shape: (z, y, x) voxels.
        spacing: (z, y, x) mm.
        rng: draws the waves.
        bend: their amplitude in mm.
        offset: (z, y, x) mm of the grid's centre in the anatomy's coordinates.

    Attributes:
        hu: (z, y, x) HU that were painted so far.
        labels: (z, y, x) uint8, the label of what covers each voxel's centre; 0 where that has none.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        rng: np.random.Generator,
        *,
        bend: float,
        offset: Point = (0.0, 0.0, 0.0),
    ):
        self.hu = np.full(shape, AIR)
        self.labels = np.zeros(shape, np.uint8)
        self.spacing = spacing
        self.reach = 2 * bend
        self.axes = [
            start + step * (np.arange(size) - (size - 1) / 2)
            for size, step, start in zip(shape, spacing, offset, strict=True)
        ]
        self._bent = [self._bend(axis, bend, rng) for axis in range(3)]

    @property
    def edge(self) -> float:
        """Width of an edge in mm: the in-plane voxel size."""
        return max(self.spacing[1:])

    def paint(self, signed: Array, value: Array | float, region: Region, opacity: float = 1.0, label: int = 0) -> None:
        """Cover what lies within a surface.

        Args:
            signed: distance to the surface in mm, negative inside, on the region's grid.
            value: HU, a number or an array on that grid.
            region: the box of voxels, as :meth:`region` gives it.
            opacity: less than 1 lets what was there show through.
            label: the label of the body, which the voxels get that it covers by half or more.
        """
        weight = opacity * np.clip(0.5 - signed / self.edge, 0.0, 1.0)
        self.hu[region] += weight * (value - self.hu[region])
        if label or self.labels[region].any():
            self.labels[region][weight >= 0.5] = label

    def whole(self) -> Region:
        """The box of all voxels."""
        return (slice(None), slice(None), slice(None))

    def region(self, low: Point, high: Point) -> Region | None:
        """The voxels that the box between two corners (z, y, x) mm can reach; None if it lies outside the grid."""
        margin = self.reach + self.edge
        box = []
        for axis, lowest, highest in zip(self.axes, low, high, strict=True):
            start, stop = np.searchsorted(axis, (lowest - margin, highest + margin))
            if start == stop:
                return None
            box.append(slice(int(start), int(stop)))
        return box[0], box[1], box[2]

    def grid(self, region: Region) -> Grid:
        """The bent coordinates of a box of voxels."""
        return Grid(*(coordinate[region] for coordinate in self._bent))

    def ellipsoid(
        self,
        centre: Point,
        radii: Point,
        value: float,
        *,
        tilt: float = 0.0,
        opacity: float = 1.0,
        label: int = 0,
    ) -> None:
        """An ellipsoid, (z, y, x) mm, turned by ``tilt`` radians about z."""
        widest = max(radii[1:])
        reach = (radii[0], widest, widest) if tilt else radii
        region = self.region(_minus(centre, reach), _plus(centre, reach))
        if region is not None:
            self.paint(ellipsoid_distance(self.grid(region), centre, radii, tilt), value, region, opacity, label)

    def capsule(self, start: Point, stop: Point, radius: float, value: float, stop_radius: float | None = None) -> None:
        """A straight tube with round ends between two points (z, y, x) mm, perhaps tapering to another radius."""
        end = radius if stop_radius is None else stop_radius
        widest = (max(radius, end),) * 3
        low = _minus(np.minimum(start, stop), widest)
        region = self.region(low, _plus(np.maximum(start, stop), widest))
        if region is not None:
            self.paint(capsule_distance(self.grid(region), start, stop, radius, end), value, region)

    def tube(self, points: Sequence[Point], radius: float, value: float) -> None:
        """Capsules along a line of points."""
        for start, stop in itertools.pairwise(points):
            self.capsule(start, stop, radius, value)

    def _bend(self, axis: int, amplitude: float, rng: np.random.Generator) -> Array:
        """One coordinate over the grid, displaced by two waves along the other axes, 80 to 250 mm long."""
        shape = tuple(len(values) for values in self.axes)
        result = np.broadcast_to(_along(self.axes[axis], axis), shape).copy()
        for other in (each for each in range(3) if each != axis):
            wave = 2 * np.pi * self.axes[other] / rng.uniform(80, 250) + rng.uniform(0, 2 * np.pi)
            result += _along(rng.uniform(0.3, 1.0) * amplitude * np.sin(wave), other)
        return result


def ellipsoid_distance(grid: Grid, centre: Point, radii: Point, tilt: float = 0.0) -> Array:
    """Distance to an ellipsoid in mm, negative inside; exact to first order at its surface."""
    z, y, x = grid.z - centre[0], grid.y - centre[1], grid.x - centre[2]
    if tilt:
        cos, sin = np.cos(tilt), np.sin(tilt)
        y, x = cos * y - sin * x, sin * y + cos * x
    level = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape))
    slope = np.zeros_like(level)
    for coordinate, radius in ((z, radii[0]), (y, radii[1]), (x, radii[2])):
        scaled = coordinate / radius
        level += scaled * scaled
        slope += (scaled / radius) ** 2
    level = np.sqrt(level)
    return (level - 1) * level / np.sqrt(slope + 1e-12)


def capsule_distance(grid: Grid, start: Point, stop: Point, radius: float, stop_radius: float) -> Array:
    """Distance in mm to a segment with a radius that changes evenly along it, negative inside."""
    direction = np.subtract(stop, start)
    length = float(np.sqrt((direction * direction).sum())) or 1.0
    z, y, x = grid.z - start[0], grid.y - start[1], grid.x - start[2]
    dz, dy, dx = direction / length
    along = np.clip(z * dz + y * dy + x * dx, 0.0, length)
    squared = (z - along * dz) ** 2 + (y - along * dy) ** 2 + (x - along * dx) ** 2
    return np.sqrt(squared) - (radius + (stop_radius - radius) * along / length)


def smooth_noise(shape: tuple[int, int, int], cells: tuple[float, float, float], rng: np.random.Generator) -> Array:
    """Noise of variance about 1, smooth over ``cells`` (z, y, x) voxels: white noise under a Gaussian filter."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal(shape), cells, mode="wrap", truncate=2.5)
    return noise / (noise.std() + 1e-12)


def _along(values: Array, axis: int) -> Array:
    shape = [1, 1, 1]
    shape[axis] = len(values)
    return values.reshape(shape)


def _minus(point: Point | Array, other: Point) -> list[float]:
    return [float(a) - float(b) for a, b in zip(point, other, strict=True)]


def _plus(point: Point | Array, other: Point) -> list[float]:
    return [float(a) + float(b) for a, b in zip(point, other, strict=True)]
