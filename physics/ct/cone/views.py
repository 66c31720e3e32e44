"""Cone-beam views given as vectors, and any geometry of a cone beam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from physics.ct.cone.geometry import ConeBeam, ConeRays
from physics.ct.cone.grid import VolumeGrid
from physics.ct.geometry import covered_arc

_TURN = 2 * math.pi

View = tuple[float, ...]
"""Twelve lengths in mm, (x, y, z) each: source, detector's middle, step from cell to cell, step from row to row."""


@dataclass(frozen=True)
class ConeViews:
    """Any list of cone-beam views onto flat detectors, each given by its vectors.

    Attributes:
        vectors: twelve lengths a view in mm: source, middle of the detector, step from cell to cell, and from row to
            row, (x, y, z) each, in the order of ASTRA's ``cone_vec``.
        cells: number of cells in a row.
        rows: number of rows.

    Raises:
        ValueError: no view, a view of other than twelve finite numbers, steps along one line, or an empty detector.
    """

    vectors: tuple[View, ...]
    cells: int
    rows: int

    kind: ClassVar[str] = "cone-vectors"

    def __post_init__(self) -> None:
        if not self.vectors or any(len(view) != 12 or not np.isfinite(view).all() for view in self.vectors):
            raise ValueError("each view needs twelve finite lengths: source, detector, cell step, row step")
        if min(self.cells, self.rows) < 1:
            raise ValueError(f"a detector of {self.rows} rows of {self.cells} cells is empty")
        _, _, across, along = self._parts()
        if not (np.linalg.norm(np.cross(across, along), axis=1) > 0).all():
            raise ValueError("the steps from cell to cell and from row to row must be two directions")

    def _parts(self) -> tuple[np.ndarray, ...]:
        """(views, 3) each: sources, detectors' middles, cell steps and row steps."""
        return tuple(np.asarray(self.vectors, float).reshape(-1, 4, 3).transpose(1, 0, 2))

    @property
    def separable(self) -> bool:
        """False: rays cross slices."""
        return False

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.vectors)

    @property
    def angles(self) -> tuple[float, ...]:
        """Angle of each source about the axis z, in radians."""
        sources = self._parts()[0]
        return tuple(float(each) for each in np.arctan2(sources[:, 0], -sources[:, 1]))

    @property
    def pitch(self) -> float:
        """Mean width of a cell, mm."""
        return float(np.linalg.norm(self._parts()[2], axis=1).mean())

    @property
    def row_pitch(self) -> float:
        """Mean height of a row, mm."""
        return float(np.linalg.norm(self._parts()[3], axis=1).mean())

    @property
    def magnification(self) -> float:
        """Mean distance from source to detector over that from source to the axis of rotation."""
        sources, centres, across, along = self._parts()
        normal = np.cross(across, along)
        depth = np.abs(((centres - sources) * normal).sum(1)) / np.linalg.norm(normal, axis=1)
        return float((depth / np.linalg.norm(sources[:, :2], axis=1).clip(1e-9)).mean())

    @property
    def covered_arc(self) -> float:
        """Arc in radians that the sources cover about the axis z, see :func:`physics.ct.geometry.covered_arc`."""
        return covered_arc(self.angles, _TURN)

    @property
    def data_shape(self) -> tuple[int, int]:
        """(views, cells)."""
        return self.views, self.cells

    @property
    def scan_shape(self) -> tuple[int, int, int]:
        """(rows, views, cells) of the scan's data."""
        return self.rows, self.views, self.cells

    def part(self, views: slice) -> ConeViews:
        """The same scan with some of the views."""
        return replace(self, vectors=self.vectors[views])

    def covering(self, grid: VolumeGrid) -> ConeViews:
        """The geometry itself; ``ValueError`` if a source lies inside the grid."""
        sources = np.abs(self._parts()[0])
        inside = (sources < np.asarray(grid.shape[::-1]) * np.asarray(grid.spacing[::-1]) / 2).all(1)
        if inside.any():
            raise ValueError(f"the source of view {int(inside.argmax())} lies inside the volume")
        return self

    def rays(self) -> ConeRays:
        """All rays."""
        sources, centres, across, along = self._parts()
        place = (np.arange(self.cells) - (self.cells - 1) / 2)[:, None]
        corner = centres - (self.rows - 1) / 2 * along
        return ConeRays(sources, corner[:, None] + place * across[:, None], along)

    def describe(self) -> str:
        """The geometry in words."""
        return (
            f"cone beam of {self.views} views given as vectors, {self.rows} rows of {self.cells} cells, "
            f"{self.row_pitch:.4g} mm x {self.pitch:.4g} mm"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which :func:`cone_from_dict` makes an equal geometry."""
        return {"type": self.kind, "vectors": [list(view) for view in self.vectors]} | {
            "cells": self.cells,
            "rows": self.rows,
        }


ConeGeometry = ConeBeam | ConeViews

CONE_KINDS = (ConeBeam.kind, ConeViews.kind)
"""Types of cone-beam geometries, as plain values and files name them."""


def cone_from_dict(values: dict[str, Any]) -> ConeGeometry:
    """The inverse of ``to_dict``; ``ValueError`` names what is missing or unknown."""
    others = dict(values)
    kind = others.pop("type", None)
    if kind not in CONE_KINDS:
        raise ValueError(f"geometry type must be {' or '.join(CONE_KINDS)}, not {kind!r}")
    try:
        if kind == ConeViews.kind:
            return ConeViews(_vectors(others.pop("vectors")), **others)
        return ConeBeam(**(others | {"angles": tuple(float(each) for each in others["angles"])}))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the {kind} geometry is incomplete or has unknown entries: {error}") from error


def _vectors(rows: Sequence[Sequence[float]] | np.ndarray) -> tuple[View, ...]:
    return tuple(tuple(float(each) for each in row) for row in rows)


def views_of(geometry: ConeBeam) -> ConeViews:
    """The same scan as a list of vectors; ``ValueError`` for a curved detector."""
    if geometry.curved:
        raise ValueError("a curved detector has no vectors")
    rays, (rows, _, cells) = geometry.rays(), geometry.scan_shape
    across = (rays.columns[:, -1] - rays.columns[:, 0]) / max(cells - 1, 1)
    if cells == 1:
        across = geometry.pitch * geometry.frames()[0]
    centres = rays.columns.mean(1) + (rows - 1) / 2 * rays.steps
    return ConeViews(_vectors(np.concatenate([rays.sources, centres, across, rays.steps], 1)), cells, rows)


def scaled(geometry: ConeGeometry, factor: float) -> ConeGeometry:
    """The same scan with all lengths times ``factor``, as in another unit of length."""
    if isinstance(geometry, ConeViews):
        return replace(geometry, vectors=_vectors(np.asarray(geometry.vectors, float) * factor))
    lengths = {each.name for each in fields(geometry)} - {"angles", "cells", "rows", "curved", "tilt", "roll"}
    return replace(geometry, **{name: getattr(geometry, name) * factor for name in lengths})
