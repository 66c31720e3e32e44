"""What detector cells of finite width read: intensities averaged over cell and focal spot, not line integrals.

A cell counts every photon that reaches it, so that it averages exp(−line integral) over its width and over the focal
spot. Where the object has an edge within a cell, that mean is not the exponential of the mean line integral, and no
thin ray has it (exponential edge gradient effect, Joseph & Spital 1981, Phys Med Biol 26:473).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import numpy as np
from torch import Tensor

from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam
from physics.ct.ray_sums import ray_sums

_VIEWS = 64
"""Views whose single rays are kept at once."""

_SPOTS = 3
"""Points that stand for a focal spot."""


@dataclass(frozen=True)
class Aperture:
    """What one reading averages over.

    Attributes:
        rays: number of rays to points evenly spread over a detector cell.
        focal_spot: width of the focal spot along the detector's axis, mm; 0 is a point.
    """

    rays: int = 4
    focal_spot: float = 0.0

    def __post_init__(self) -> None:
        if self.rays < 1:
            raise ValueError(f"rays per cell must be 1 or more, not {self.rays}")
        if not (math.isfinite(self.focal_spot) and self.focal_spot >= 0):
            raise ValueError(f"the focal spot's width must be 0 mm or more, not {self.focal_spot:g}")


@dataclass(frozen=True)
class OffCentreSource(FanBeam):
    """A fan beam whose source stands beside the central ray, as a point of a wide focal spot does.

    Attributes:
        source_offset: shift of the source along the detector's axis, mm.
    """

    source_offset: float = field(default=0.0)

    def vectors(self) -> np.ndarray:
        vectors = super().vectors()
        vectors[:, :2] += self.source_offset * vectors[:, 4:] / self.pitch
        return vectors


def readings(attenuation: Tensor, geometry: Geometry, grid: ImageGrid, aperture: Aperture) -> Tensor:
    """Line integrals as a noise-free detector reports them: −log of the mean of exp(−line integral).

    Args:
        attenuation: (z, y, x) in 1/mm on ``grid``, on the CPU.
        geometry: the scanner's geometry, its number of cells decided.
        grid: the object's pixels.
        aperture: what a reading averages over.

    Returns:
        (z, views, cells), dimensionless.

    Raises:
        ValueError: a wide focal spot of a parallel beam.
    """
    sources = _sources(geometry, aperture)
    transmitted = attenuation.new_zeros((len(attenuation), *geometry.data_shape))
    for source in sources:
        detector = _fine_detector(source, aperture.rays)
        vectors, cells = detector.vectors(), detector.data_shape[1]
        for view in range(0, len(vectors), _VIEWS):
            part = slice(view, view + _VIEWS)
            integrals = ray_sums(attenuation, detector.kind, vectors[part], cells, grid)
            read = integrals.neg_().exp_().unflatten(-1, (-1, aperture.rays)).mean(-1)
            transmitted[:, part] += read / len(sources)
    return transmitted.log_().neg_()


def _sources(geometry: Geometry, aperture: Aperture) -> list[Geometry]:
    """The geometry for each point of the focal spot; the points are the middles of equal parts of its width."""
    if not aperture.focal_spot:
        return [geometry]
    if isinstance(geometry, ParallelBeam):
        raise ValueError("parallel rays have no focal spot; its width must be 0 mm")
    shifts = (np.arange(_SPOTS) - (_SPOTS - 1) / 2) * (aperture.focal_spot / _SPOTS)
    facts = {each.name: getattr(geometry, each.name) for each in fields(geometry)}
    return [OffCentreSource(**facts, source_offset=float(shift)) for shift in shifts]


def _fine_detector(geometry: Geometry, rays: int) -> Geometry:
    """The same detector with each cell cut into ``rays``."""
    return replace(geometry, cells=geometry.data_shape[1] * rays, pitch=geometry.pitch / rays)
