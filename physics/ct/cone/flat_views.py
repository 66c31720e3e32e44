"""Cone-beam views as a flat, upright detector opposite to the source would have read them.

Filtered backprojection needs rows that are parallel to the axis of rotation and a detector across the central ray.
Views of curved detectors, of those that lean or are rolled, and views given as vectors are interpolated there, between
the four nearest cells of each ray.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeGeometry, views_of


@dataclass(frozen=True)
class FlatScan:
    """Circles and helices of a source with a flat, upright detector.

    Attributes:
        beam: the geometry, as if all sources stood equally far from the axis.
        radius: (views,) distance of each source from the axis, mm.
        heights: (views,) z of each source, mm.
        source: the geometry whose views must be interpolated; None where they are flat and upright already.
    """

    beam: ConeBeam
    radius: np.ndarray
    heights: np.ndarray
    source: ConeGeometry | None

    def views(self, data: Tensor, part: slice) -> Tensor:
        """Some views (views, rows, cells) of this scan from all data (rows, views, cells)."""
        seen = data[:, part].transpose(0, 1)
        if self.source is None:
            return seen
        places = torch.from_numpy(_places(self, part)).to(seen)
        return grid_sample(seen[:, None], places, align_corners=True)[:, 0]


def flat_scan(geometry: ConeGeometry) -> FlatScan:
    """The flat, upright scan of a geometry with its rows and cells decided.

    Raises:
        ValueError: a source on the axis of rotation.
    """
    if isinstance(geometry, ConeBeam) and geometry.upright and not geometry.curved:
        return FlatScan(geometry, np.full(geometry.views, geometry.source_isocentre), geometry.heights(), None)
    rays = geometry.rays()
    radius = np.linalg.norm(rays.sources[:, :2], axis=1)
    if not radius.min() > 0:
        raise ValueError("a source stands on the axis of rotation, about which filtered backprojection turns")
    isocentre = float(radius.mean())
    distance = isocentre * geometry.magnification
    last = rays.columns + (geometry.scan_shape[0] - 1) * rays.steps[:, None]
    edge = np.concatenate([rays.columns, last], 1) - rays.sources[:, None]
    u, w = _axes(rays.sources, radius)
    depth = (edge * w[:, None]).sum(-1)
    if not (depth > 0).all():
        raise ValueError("a detector does not stand opposite to its source, as filtered backprojection needs it")
    across, along = (edge * u[:, None]).sum(-1) / depth * distance, edge[..., 2] / depth * distance
    (cells, offset), (rows, row_offset) = _reach(across, geometry.pitch), _reach(along, geometry.row_pitch)
    beam = ConeBeam(
        angles=geometry.angles,
        pitch=geometry.pitch,
        cells=cells,
        offset=offset,
        source_isocentre=isocentre,
        source_detector=max(distance, isocentre * (1 + 1e-9)),
        row_pitch=geometry.row_pitch,
        rows=rows,
        row_offset=row_offset,
        feed=geometry.feed if isinstance(geometry, ConeBeam) else 0.0,
    )
    return FlatScan(beam, radius, rays.sources[:, 2], geometry)


def _axes(sources: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(views, 3) each: the flat detector's axis of cells, and the direction from source to axis."""
    w = np.concatenate([-sources[:, :2] / radius[:, None], np.zeros((len(sources), 1))], 1)
    return np.stack([w[:, 1], -w[:, 0], np.zeros(len(w))], 1), w


def _reach(places: np.ndarray, pitch: float) -> tuple[int, float]:
    """Cells of a width that cover places, and the offset of their middle."""
    low, high = float(places.min()), float(places.max())
    return max(1, math.ceil((high - low) / pitch - 1e-9) + 1), (low + high) / 2


def _places(scan: FlatScan, part: slice) -> np.ndarray:
    """(views, rows, cells, 2) where the flat detector's rays meet the real one: cell and row, from -1 to 1."""
    assert scan.source is not None
    source = scan.source.part(part)
    beam, rays = scan.beam, source.rays()
    rows, _, cells = source.scan_shape
    u, w = _axes(rays.sources, np.linalg.norm(rays.sources[:, :2], axis=1))
    across = beam.cell_positions()
    along = (np.arange(beam.scan_shape[0]) - (beam.scan_shape[0] - 1) / 2) * beam.row_pitch + beam.row_offset
    directions = (
        beam.source_detector * w[:, None, None]
        + across[:, None] * u[:, None, None]
        + along[:, None, None] * np.array([0.0, 0.0, 1.0])
    )
    if isinstance(source, ConeBeam) and source.curved:
        cell, row = _on_cylinder(source, directions)
    else:
        cell, row = _on_planes(source, directions)
    return np.stack([_from_minus_one(cell, cells), _from_minus_one(row, rows)], -1)


def _from_minus_one(place: np.ndarray, size: int) -> np.ndarray:
    """Numbers of cells as grid_sample wants them: -1 is the first, 1 the last."""
    return 2 * place / max(size - 1, 1) - (1.0 if size > 1 else 0.0)


def _on_planes(geometry: ConeGeometry, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell and row (views, rows, cells) where rays from the sources meet flat detectors."""
    vectors = views_of(geometry) if isinstance(geometry, ConeBeam) else geometry
    rows, _, cells = vectors.scan_shape
    facts = np.asarray(vectors.vectors).reshape(-1, 4, 3)
    source, centre, across, along = facts.transpose(1, 0, 2)
    normal = np.cross(across, along)
    depth = ((centre - source) * normal).sum(1)[:, None, None, None]
    hit = directions * (depth / (directions * normal[:, None, None]).sum(-1, keepdims=True))
    hit = hit - (centre - source)[:, None, None]
    square = (normal**2).sum(1)[:, None, None]
    cell = (hit * np.cross(along, normal)[:, None, None]).sum(-1) / square
    row = (hit * np.cross(normal, across)[:, None, None]).sum(-1) / square
    return cell + (cells - 1) / 2, row + (rows - 1) / 2


def _on_cylinder(geometry: ConeBeam, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell and row (views, rows, cells) where rays from the sources meet a curved detector."""
    u, v, normal, source, centre = (each[:, None, None] for each in geometry.frames())
    radius = geometry.source_detector
    start = source - (centre - radius * normal)  # from the cylinder's axis
    a0, a1 = (start * u).sum(-1), (directions * u).sum(-1)
    n0, n1 = (start * normal).sum(-1), (directions * normal).sum(-1)
    square, mixed = a1**2 + n1**2, a0 * a1 + n0 * n1
    t = (-mixed + np.sqrt(np.clip(mixed**2 - square * (a0**2 + n0**2 - radius**2), 0, None))) / square
    place = radius * np.arctan2(a0 + t * a1, n0 + t * n1)
    along = ((source + t[..., None] * directions - centre) * v).sum(-1)
    rows, _, cells = geometry.scan_shape
    cell = (place - geometry.offset) / geometry.pitch + (cells - 1) / 2
    return cell, (along - geometry.row_offset) / geometry.row_pitch + (rows - 1) / 2
