"""Cone-beam geometries as immutable values, in millimetres and radians.

Conventions, those of the fan beam in three dimensions. The axis of rotation is z, along which slices are counted. At
view angle β the source stands at ``source_isocentre`` · (sin β, −cos β) in the plane of x and y, at the height z of the
view; u = (cos β, sin β, 0) is the detector's axis of cells, v = (0, 0, 1) that of its rows, and w = (−sin β, cos β, 0)
points from the source through the axis to the detector. A detector that leans has its v turned towards w by ``tilt``
about u, and one that is rolled has both axes turned by ``roll`` in its own plane, from u towards v, about the point
where the central ray meets it. Cell (row r, cell c) is centred at ``(c − (cells − 1)/2) · pitch + offset`` along u and
at ``(r − (rows − 1)/2) · row_pitch + row_offset`` along v; on a curved detector the first is a length of arc.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from physics.ct.cone.grid import VolumeGrid
from physics.ct.geometry import Detector, FanBeam

_TURN = 2 * math.pi


class ConeRays(NamedTuple):
    """All rays of a scan; row r of cell c in view i ends at ``columns[i, c] + r · steps[i]``. Lengths in mm, (x, y, z).

    Attributes:
        sources: (views, 3) places of the source.
        columns: (views, cells, 3) centres of the cells of row 0.
        steps: (views, 3) from one row to the next.
    """

    sources: np.ndarray
    columns: np.ndarray
    steps: np.ndarray


@dataclass(frozen=True)
class ConeBeam(Detector):
    """A point source and a detector of rows and cells, both turning about the axis z, or moving along a helix.

    Attributes:
        source_isocentre: distance from the source to the axis of rotation, mm.
        source_detector: distance from the source to the detector along the central ray, mm.
        row_pitch: height of a detector row, mm, at the detector.
        rows: number of rows; None until :meth:`covering` has chosen it for a grid.
        row_offset: shift of the detector along its rows' axis, mm, at the detector.
        curved: whether the detector is a part of a cylinder about the source, and not flat.
        tilt: angle in radians by which the detector leans, about its axis of cells.
        roll: angle in radians by which the detector is turned in its own plane.
        feed: distance in mm that the source moves along z in one turn, of a helix; 0 for a circle.
        height: z of the source at angle 0, mm.

    Raises:
        ValueError: a length or an angle that no scanner has.
    """

    source_isocentre: float = 595.0
    source_detector: float = 1086.5
    row_pitch: float = 1.0
    rows: int | None = None
    row_offset: float = 0.0
    curved: bool = False
    tilt: float = 0.0
    roll: float = 0.0
    feed: float = 0.0
    height: float = 0.0

    kind: ClassVar[str] = "cone"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.middle()  # checks the distances
        if not (math.isfinite(self.row_pitch) and self.row_pitch > 0):
            raise ValueError(f"the row pitch must be positive, not {self.row_pitch} mm")
        if self.rows is not None and self.rows < 1:
            raise ValueError(f"the detector needs at least 1 row, not {self.rows}")
        for name in ("row_offset", "feed", "height"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)} mm")
        for name in ("tilt", "roll"):
            if not abs(getattr(self, name)) < math.pi / 2:
                raise ValueError(f"the {name} must be below 90 degrees, not {math.degrees(getattr(self, name)):g}")

    @property
    def separable(self) -> bool:
        """False: rays cross slices."""
        return False

    @property
    def helical(self) -> bool:
        """Whether the source moves along the axis while it turns."""
        return self.feed != 0 and max(self.angles) > min(self.angles)

    @property
    def upright(self) -> bool:
        """Whether the rows' axis is parallel to the axis of rotation."""
        return self.tilt == 0 and self.roll == 0

    @property
    def magnification(self) -> float:
        """Size on the detector over size at the axis of rotation."""
        return self.source_detector / self.source_isocentre

    @property
    def scan_shape(self) -> tuple[int, int, int]:
        """(rows, views, cells) of the scan's data; ``ValueError`` while rows or cells are undecided."""
        views, cells = self.data_shape
        if self.rows is None:
            raise ValueError("the number of detector rows is undecided: call covering(grid) first")
        return self.rows, views, cells

    def with_views(self, views: int, start: float | None = None) -> Self:
        """As :meth:`Detector.with_views`; a helix keeps its turns."""
        if not self.helical:
            return super().with_views(views, start)
        if views < 1:
            raise ValueError(f"views must be at least 1, not {views}")
        if start is not None:
            raise ValueError("the angle of a helix's first view is stated by its geometry")
        ends = min(self.angles), max(self.angles)
        span = (ends[1] - ends[0]) * self.views / max(self.views - 1, 1)
        return replace(self, angles=tuple(ends[0] + span * k / views for k in range(views)))

    def middle(self) -> FanBeam:
        """The fan beam in the plane of the source's circle, as if the detector were flat and upright."""
        return FanBeam(self.angles, self.pitch, self.cells, self.offset, self.source_isocentre, self.source_detector)

    def part(self, views: slice) -> Self:
        """The same scanner with some of the views."""
        return replace(self, angles=self.angles[views])

    def covering(self, grid: VolumeGrid) -> ConeBeam:
        """The same geometry with ``cells`` and ``rows`` chosen, where undecided, to cover the corners of ``grid``.

        Raises:
            ValueError: the grid's corners reach the source, or the rows of a helix are undecided.
        """
        cells = self.middle().covering(grid.slice_grid).cells
        if self.rows is not None:
            return replace(self, cells=cells)
        if self.helical:
            raise ValueError("the number of detector rows of a helical scan must be stated")
        nearest = self.source_isocentre - grid.corner_radius
        reach = (grid.half_height + abs(self.height)) * self.source_detector / nearest
        more = abs(self.row_offset) + (abs(math.sin(self.roll)) * self.pitch * (cells or 0) / 2)
        return replace(self, cells=cells, rows=2 * math.ceil((reach + more) / self.row_pitch))

    def heights(self) -> np.ndarray:
        """(views,) z of the source, mm."""
        return self.height + self.feed * np.asarray(self.angles) / _TURN

    def rays(self) -> ConeRays:
        """All rays; ``ValueError`` while rows or cells are undecided."""
        rows = self.scan_shape[0]
        u, v, normal, sources, centres = self.frames()
        place = self.cell_positions()[:, None]
        if self.curved:
            fan, radius = place / self.source_detector, self.source_detector
            across = radius * (np.sin(fan) * u[:, None] + (np.cos(fan) - 1) * normal[:, None])
        else:
            across = place * u[:, None]
        first = self.row_offset - (rows - 1) / 2 * self.row_pitch
        return ConeRays(sources, centres[:, None] + across + first * v[:, None], self.row_pitch * v)

    def frames(self) -> tuple[np.ndarray, ...]:
        """(views, 3) each: axes of cells and rows, normal away from the source, source, and end of the central ray."""
        beta = np.asarray(self.angles)
        zero = np.zeros_like(beta)
        u = np.stack([np.cos(beta), np.sin(beta), zero], 1)
        w = np.stack([-np.sin(beta), np.cos(beta), zero], 1)
        z = np.stack([zero, zero, self.heights()], 1)
        leaning = math.cos(self.tilt) * np.array([0.0, 0.0, 1.0]) + math.sin(self.tilt) * w
        normal = math.cos(self.tilt) * w - math.sin(self.tilt) * np.array([0.0, 0.0, 1.0])
        cells = math.cos(self.roll) * u + math.sin(self.roll) * leaning
        rows = math.cos(self.roll) * leaning - math.sin(self.roll) * u
        source = z - self.source_isocentre * w
        return cells, rows, normal, source, source + self.source_detector * w

    def describe(self) -> str:
        """The geometry in words."""
        shape = "curved" if self.curved else "flat"
        return ", ".join([f"cone beam{_path(self)} onto a {shape} detector", *_facts(self)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which :func:`cone_from_dict` makes an equal geometry."""
        return {"type": self.kind} | asdict(self) | {"angles": list(self.angles)}


def _path(geometry: ConeBeam) -> str:
    return f" along a helix of {geometry.feed:g} mm a turn" if geometry.helical else ""


def _facts(geometry: ConeBeam) -> list[str]:
    """Distances, views and detector in words."""
    flat = geometry.middle().describe()
    facts = [flat.removeprefix("fan beam onto a flat detector, ")]
    rows = "as many rows as cover the volume" if geometry.rows is None else f"{geometry.rows} rows"
    shift = f", shifted by {geometry.row_offset:g} mm" if geometry.row_offset else ""
    facts.append(f"{rows} of {geometry.row_pitch:g} mm{shift}")
    for name in ("tilt", "roll"):
        if getattr(geometry, name):
            facts.append(f"{name} {math.degrees(getattr(geometry, name)):g} degrees")
    return facts
