"""Which part of the plane a scanner sees."""

from __future__ import annotations

import math

import numpy as np

from physics.ct.geometry import FanBeam, Geometry


def magnification(geometry: Geometry) -> float:
    """Size on the detector over size at the isocentre."""
    return geometry.source_detector / geometry.source_isocentre if isinstance(geometry, FanBeam) else 1.0


def ray_distances(geometry: Geometry) -> np.ndarray:
    """(cells,) signed distance of each cell's ray from the isocentre, mm."""
    position = geometry.cell_positions()
    if isinstance(geometry, FanBeam):
        return geometry.source_isocentre * np.sin(np.arctan(position / geometry.source_detector))
    return position


def seen_radius(geometry: Geometry) -> float:
    """Radius in mm of the largest disc about the isocentre of which every point is seen from all directions.

    Over a whole turn each side of the detector sees what the other does, half a turn later, so that the longer one
    counts, as for detectors that are shifted on purpose. 0 where the isocentre is not seen.
    """
    half = geometry.pitch / magnification(geometry) / 2
    distance = ray_distances(geometry)
    left, right = half - float(distance.min()), half + float(distance.max())
    if min(left, right) < 0:
        return 0.0
    full = 2 * math.pi - geometry.largest_gap <= _turn(geometry) + 1e-6
    return max(left, right) if full else min(left, right)


def _turn(geometry: Geometry) -> float:
    """The arc in radians between the first and the last of the views' directions around the whole circle."""
    directions = np.sort(np.asarray(geometry.angles) % (2 * math.pi))
    gaps = np.diff(directions, append=directions[0] + 2 * math.pi)
    return 2 * math.pi - float(gaps.max())
