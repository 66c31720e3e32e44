"""How much each ray counts among those that measure the same line.

Over a whole turn a fan beam measures every line twice: from the one end at (β, γ) and from the other at
(β + π − 2γ, −γ); parallel rays do so half a turn later. Each ray counts by c/(c + c'), where c falls smoothly to zero
at the ends of the arc that was scanned (Noo et al. 2002, Phys Med Biol 47:2525) and at the end of a detector that is
shifted sideways (Wang 2002, Med Phys 29:1634, in the same form), and c' is that of the opposite ray. So whole turns,
short scans, limited angles and shifted detectors need no case of their own.
"""

from __future__ import annotations

import math

import numpy as np

from physics.ct.field_of_view import magnification
from physics.ct.geometry import FanBeam, Geometry, ImageGrid
from physics.ct.view_weights import view_weights

_FEATHER = math.radians(10.0)
"""Arc at the ends of what was scanned over which rays' weights fall to zero."""

_SYMMETRIC_CELLS = 2.0
"""Cells by which one side of a detector may be longer and the detector not count as shifted."""


def ray_weights(geometry: Geometry, grid: ImageGrid) -> np.ndarray:
    """(views, cells) cosine of the fan angle × arc of the view in radians × share among rays of the same line."""
    angles, fan = np.asarray(geometry.angles), _fan_angles(geometry)
    # A fan beam needs the whole circle; a parallel beam repeats itself after half of it.
    arc, wedges = view_weights(angles, 2 * np.pi)
    own = _scanned(angles, wedges)[:, None] * _detected(geometry, grid, fan)
    other = _scanned(angles[:, None] + np.pi - 2 * _tilt(geometry, fan), wedges) * _detected(geometry, grid, -fan)
    return np.cos(_tilt(geometry, fan)) * arc[:, None] * own / (own + other)


def missing_cells(geometry: Geometry, grid: ImageGrid) -> tuple[int, int]:
    """Cells of zeros to add (before, after) those of a shifted detector, so that it reaches equally far to both sides.

    A ramp-filtered projection does not end where the projection does; so pixels beyond the end of the short side need
    its values there. (0, 0) of detectors that are not shifted.
    """
    if not is_shifted(geometry, grid):
        return 0, 0
    left, right = _reaches(geometry)
    more = math.ceil(abs(right - left) / geometry.pitch)
    return (more, 0) if left < right else (0, more)


def is_shifted(geometry: Geometry, grid: ImageGrid) -> bool:
    """Whether the detector stands so far to one side that the other side does not see all of the grid's inner disc."""
    reaches = _reaches(geometry)
    radius = min(n * step for n, step in zip(grid.shape, grid.spacing, strict=True)) / 2
    needed = radius * magnification(geometry)
    if isinstance(geometry, FanBeam):
        needed = geometry.source_detector * math.tan(math.asin(min(radius / geometry.source_isocentre, 0.999)))
    return min(reaches) < needed and abs(reaches[0] - reaches[1]) > _SYMMETRIC_CELLS * geometry.pitch


def _reaches(geometry: Geometry) -> tuple[float, float]:
    """How far the detector reaches from the central ray to its first and to its last cell's outer edge, mm."""
    position, half = geometry.cell_positions(), geometry.pitch / 2
    return half - float(position[0]), half + float(position[-1])


def _fan_angles(geometry: Geometry) -> np.ndarray:
    """(cells,) place of each cell: its fan angle in radians, of parallel rays its distance from the centre in mm."""
    position = geometry.cell_positions()
    return np.arctan(position / geometry.source_detector) if isinstance(geometry, FanBeam) else position


def _tilt(geometry: Geometry, fan: np.ndarray) -> np.ndarray:
    """The fan angles; zeros of parallel rays."""
    return fan if isinstance(geometry, FanBeam) else np.zeros_like(fan)


def _detected(geometry: Geometry, grid: ImageGrid, place: np.ndarray) -> np.ndarray:
    """c of rays to places on the detector's axis (see :func:`_fan_angles`): 1 of a detector that is not shifted.

    Of one that is, it rises from 0 at the end of the short side to 1 at the opposite place on the long side. Where the
    short side does not reach the central ray, each line is seen once.
    """
    if not is_shifted(geometry, grid):
        return np.ones_like(place)
    left, right = _reaches(geometry)
    short, towards_long = min(left, right), place if left < right else -place
    if short <= 0:
        return np.where(towards_long > 0, 1.0, 0.0)
    end = math.atan(short / geometry.source_detector) if isinstance(geometry, FanBeam) else short
    return (1 + np.sin(np.pi / 2 * np.clip(towards_long / end, -1, 1))) / 2


def _scanned(angles: np.ndarray, wedges: np.ndarray) -> np.ndarray:
    """c of views: 1 inside the scanned arc, 0 outside, smooth near its ends."""
    inside = np.ones_like(angles)
    for start, end in wedges:
        depth = np.minimum((start - angles) % (2 * np.pi), (angles - end) % (2 * np.pi))
        outside = (angles - start) % (2 * np.pi) < end - start
        edge = np.sin(np.clip(depth / _FEATHER, 0, 1) * np.pi / 2) ** 2
        inside = inside * np.where(outside, 0.0, np.maximum(edge, 1e-6))
    return inside
