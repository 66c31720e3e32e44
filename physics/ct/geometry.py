"""Acquisition geometry as immutable values, in millimetres and radians.

Conventions. The image plane has x to the right and y up (array index y grows with y); the isocentre
is the centre of the grid. At view angle β the detector's axis is u = (cos β, sin β); a fan-beam source
stands at ``source_isocentre`` · (sin β, −cos β) and the detector opposite to it; parallel rays run along
(−sin β, cos β). Cell k is centred at ``(k − (cells − 1)/2) · pitch + offset`` on that axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

_SAME_ANGLE = 1e-9
"""Angles in radians that differ by less are the same."""

GOLDEN_ANGLE = math.pi * (math.sqrt(5.0) - 1.0)
"""Angular increment of golden-angle acquisition over the full circle, 222.49°, in radians."""


@dataclass(frozen=True)
class ImageGrid:
    """One slice's pixel grid, centred on the isocentre.

    Attributes:
        shape: (y, x) pixels.
        spacing: (y, x) pixel size in mm.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"an image of {self.shape} pixels is empty")
        if not all(math.isfinite(s) and s > 0 for s in self.spacing):
            raise ValueError(f"pixel spacing must be positive, not {self.spacing} mm")

    @property
    def corner_radius(self) -> float:
        """Distance from the isocentre to a corner of the grid, mm."""
        return 0.5 * math.hypot(self.shape[0] * self.spacing[0], self.shape[1] * self.spacing[1])


def circular_angles(views: int, start: float = 0.0, arc: float = 2 * math.pi) -> tuple[float, ...]:
    """``views`` equally spaced angles from ``start`` over ``arc`` radians, its end excluded.

    Raises:
        ValueError: ``views`` < 1, or ``arc`` not in (0, 2π].
    """
    if views < 1:
        raise ValueError(f"views must be at least 1, not {views}")
    if not 0 < arc <= 2 * math.pi * (1 + 1e-12):
        raise ValueError(f"the arc must be above 0 and at most 360 degrees, not {math.degrees(arc):g}")
    return tuple(start + arc * k / views for k in range(views))


def golden_angles(views: int, start: float = 0.0) -> tuple[float, ...]:
    """``views`` angles in golden-angle order (Köhler 2004), reduced to [0, 2π)."""
    if views < 1:
        raise ValueError(f"views must be at least 1, not {views}")
    return tuple((start + GOLDEN_ANGLE * k) % (2 * math.pi) for k in range(views))


def covered_arc(angles: Sequence[float], period: float) -> float:
    """Arc in radians that views at these angles cover, see :attr:`Detector.covered_arc`."""
    gaps = _sorted_gaps(angles, period)
    excess = gaps[-1] - (gaps[-2] if len(gaps) > 1 else 0.0)
    return period if excess < _SAME_ANGLE else max(period - float(excess), 0.0)


def _sorted_gaps(angles: Sequence[float], period: float) -> np.ndarray:
    """Angles between neighbouring directions all around a circle of ``period``, ascending; as many as ``angles``."""
    directions = np.sort(np.asarray(angles, dtype=float) % period)
    return np.sort(np.diff(directions, append=directions[0] + period))


@dataclass(frozen=True)
class Detector:
    """What both geometries share.

    Attributes:
        angles: view angles in radians.
        pitch: width of a detector cell, mm, at the detector.
        cells: number of cells; None until :meth:`covering` has chosen it for a grid.
        offset: shift of the detector along its axis, mm, at the detector.
    """

    angles: tuple[float, ...]
    pitch: float
    cells: int | None = None
    offset: float = 0.0

    kind: ClassVar[str] = "detector"
    period: ClassVar[float] = 2 * math.pi
    """Angle in radians after which a view measures the same rays again."""

    def __post_init__(self) -> None:
        if not self.angles or not all(math.isfinite(a) for a in self.angles):
            raise ValueError("a geometry needs at least one view, with finite angles")
        if not (math.isfinite(self.pitch) and self.pitch > 0):
            raise ValueError(f"the detector pitch must be positive, not {self.pitch} mm")
        if not math.isfinite(self.offset):
            raise ValueError(f"the detector offset must be finite, not {self.offset} mm")
        if self.cells is not None and self.cells < 1:
            raise ValueError(f"the detector needs at least 1 cell, not {self.cells}")

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.angles)

    @property
    def covered_arc(self) -> float:
        """Arc in radians that the views cover, at most :attr:`period`.

        The views' directions, sorted, leave gaps between neighbours all around the circle. The widest gap counts as not
        scanned as far as it exceeds the second widest. So the arc of evenly spread views includes their last step, and
        order, repeated views and further turns change nothing; one direction alone covers nothing.
        """
        return covered_arc(self.angles, self.period)

    @property
    def largest_gap(self) -> float:
        """Largest angle in radians between neighbouring directions of the covered arc, the second widest gap of all.

        Of evenly spread views it is their step.
        """
        return float(_sorted_gaps(self.angles, self.period)[-2:][0])

    def with_views(self, views: int, start: float | None = None) -> Self:
        """The same scanner with other views, evenly spread over the arc that these are evenly spread over.

        Args:
            views: number of views.
            start: angle of the first view, radians; None keeps it.

        Raises:
            ValueError: these views are not evenly spread in ascending order, or ``views`` is below 1.
        """
        steps = np.diff(self.angles)
        if self.views > 1 and (steps[0] <= 0 or not np.allclose(steps, steps[0])):
            raise ValueError(
                "this geometry's views are not evenly spread, so say over which `arc` the new ones shall be"
            )
        # of a whole turn even for parallel beams, whose second half turn has views in between where their number is odd
        arc = covered_arc(self.angles, 2 * math.pi) if self.views > 1 else 2 * math.pi
        return replace(self, angles=circular_angles(views, self.angles[0] if start is None else start, arc))

    @property
    def data_shape(self) -> tuple[int, int]:
        """(views, cells) of one slice's sinogram; ``ValueError`` while ``cells`` is undecided."""
        if self.cells is None:
            raise ValueError("the number of detector cells is undecided: call covering(grid) first")
        return self.views, self.cells

    def cell_positions(self) -> np.ndarray:
        """(cells,) centres of the cells on the detector axis, mm."""
        cells = self.data_shape[1]
        return (np.arange(cells) - (cells - 1) / 2) * self.pitch + self.offset

    def vectors(self) -> np.ndarray:
        """(views, 6) per view: source or ray direction (x, y), detector centre (x, y), cell step (x, y), mm."""
        raise NotImplementedError

    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        """(views, 2) unit vectors: the detector's axis, and the direction from source to detector."""
        beta = np.asarray(self.angles)
        return np.stack([np.cos(beta), np.sin(beta)], 1), np.stack([-np.sin(beta), np.cos(beta)], 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values (JSON-able) from which :func:`geometry_from_dict` makes an equal geometry."""
        return {"type": self.kind} | asdict(self) | {"angles": list(self.angles)}


@dataclass(frozen=True)
class ParallelBeam(Detector):
    """Parallel rays onto a flat detector.

    Views half a turn apart measure the same rays, so that directions count within half a turn.
    """

    kind: ClassVar[str] = "parallel"
    period: ClassVar[float] = math.pi

    def covering(self, grid: ImageGrid) -> ParallelBeam:
        """The same geometry with ``cells`` chosen, if undecided, to cover the corners of ``grid``."""
        return replace(self, cells=self.cells or _cells_to(grid.corner_radius, self))

    def vectors(self) -> np.ndarray:
        axis, direction = self._axes()
        return np.concatenate([direction, self.offset * axis, self.pitch * axis], axis=1)

    def describe(self) -> str:
        """The geometry in words."""
        return f"parallel beam, {_describe_detector(self)}"


@dataclass(frozen=True)
class FanBeam(Detector):
    """A point source and a flat detector, both turning about the isocentre.

    Attributes:
        source_isocentre: distance from the source to the isocentre, mm.
        source_detector: distance from the source to the detector, mm.
    """

    source_isocentre: float = field(default=595.0)
    source_detector: float = field(default=1086.5)

    kind: ClassVar[str] = "fan"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.source_isocentre < self.source_detector:
            raise ValueError(
                "the source must be nearer to the isocentre than to the detector: "
                f"{self.source_isocentre} mm and {self.source_detector} mm"
            )

    def covering(self, grid: ImageGrid) -> FanBeam:
        """The same geometry with ``cells`` chosen, if undecided, to cover the corners of ``grid``.

        Raises:
            ValueError: the grid's corners reach the source.
        """
        radius = grid.corner_radius
        if radius >= self.source_isocentre:
            raise ValueError(
                f"the image's corners ({radius:.0f} mm from the isocentre) reach the source "
                f"({self.source_isocentre:.0f} mm): is the spacing in millimetres?"
            )
        half_width = self.source_detector * math.tan(math.asin(radius / self.source_isocentre))
        return replace(self, cells=self.cells or _cells_to(half_width, self))

    def vectors(self) -> np.ndarray:
        axis, direction = self._axes()
        source = -self.source_isocentre * direction
        centre = (self.source_detector - self.source_isocentre) * direction + self.offset * axis
        return np.concatenate([source, centre, self.pitch * axis], axis=1)

    def describe(self) -> str:
        """The geometry in words."""
        distances = f"source to isocentre {self.source_isocentre:g} mm, source to detector {self.source_detector:g} mm"
        return f"fan beam onto a flat detector, {distances}, {_describe_detector(self)}"


Geometry = ParallelBeam | FanBeam


def geometry_from_dict(values: dict[str, Any]) -> Geometry:
    """The inverse of ``to_dict``; ``ValueError`` names what is missing or unknown."""
    kinds: dict[str, type[ParallelBeam] | type[FanBeam]] = {"parallel": ParallelBeam, "fan": FanBeam}
    fields = dict(values)
    kind = fields.pop("type", None)
    if kind not in kinds:
        raise ValueError(f"geometry type must be parallel or fan, not {kind!r}")
    try:
        return kinds[kind](**(fields | {"angles": tuple(float(a) for a in fields["angles"])}))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the {kind} geometry is incomplete or has unknown entries: {error}") from error


def _cells_to(half_width: float, detector: Detector) -> int:
    """Cells that reach ``half_width`` mm to both sides of the axis in spite of the offset."""
    return 2 * math.ceil((half_width + abs(detector.offset)) / detector.pitch)


def _describe_detector(detector: Detector) -> str:
    cells = "as many cells as cover the image" if detector.cells is None else f"{detector.cells} cells"
    offset = f", shifted by {detector.offset:g} mm" if detector.offset else ""
    return f"{detector.views} views {_describe_angles(detector.angles)}, {cells} of {detector.pitch:g} mm{offset}"


def _describe_angles(angles: tuple[float, ...]) -> str:
    degrees = np.degrees(angles)
    if len(degrees) == 1:
        return f"at {degrees[0]:g} degrees"
    steps = np.diff(degrees)
    if np.allclose(steps, steps[0]):
        arc = abs(steps[0]) * len(degrees)
        return f"evenly over {arc:g} degrees" + (f" from {degrees[0]:g}" if degrees[0] else "")
    return "at given angles"
