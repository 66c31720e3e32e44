"""What detector cells of finite width read: intensities averaged over cell and focal spot, not line integrals.

A cell counts every photon that reaches it, so that it averages exp(−line integral) over its width and over the focal
spot. Where the object has an edge within a cell, that mean is not the exponential of the mean line integral, and no
thin ray has it (exponential edge gradient effect, Joseph & Spital 1981, Phys Med Biol 26:473).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import Tensor

from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam
from physics.ct.ray_sums import ray_sums

_VIEWS = 64
"""Views whose single rays are kept at once."""

Transmission = Callable[[Tensor], Tensor]
"""From line integrals (n, views, rays), which it may overwrite, to the transmitted share of the intensity (z, views,
rays). Of several materials, whose slices follow one another, n is a multiple of z."""

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


def monochromatic(line_integrals: Tensor) -> Tensor:
    """exp(−line integral), the law of Beer and Lambert, in place."""
    return line_integrals.neg_().exp_()


def readings(
    attenuation: Tensor,
    geometry: Geometry,
    grid: ImageGrid,
    aperture: Aperture,
    transmission: Transmission = monochromatic,
) -> Tensor:
    """Line integrals as a noise-free detector reports them: −log of the mean of exp(−line integral).

    Args:
        attenuation: (z, y, x) in 1/mm on ``grid``, on the CPU; the slices of several materials one after the other.
        geometry: the scanner's geometry, its number of cells decided.
        grid: the object's pixels.
        aperture: what a reading averages over.
        transmission: what rays transmit, by their line integrals.

    Returns:
        (z, views, cells), dimensionless.

    Raises:
        ValueError: a wide focal spot of a parallel beam.
    """
    seen = [
        torch.cat([_over_cells(transmission(rays), aperture) for rays in _some_views(attenuation, fine, grid)], dim=1)
        for fine in (_fine_detector(source, aperture.rays) for source in _sources(geometry, aperture))
    ]
    return torch.stack(seen).mean(0).log_().neg_()


def _over_cells(transmitted: Tensor, aperture: Aperture) -> Tensor:
    """Mean over the rays of each cell."""
    return transmitted.unflatten(-1, (-1, aperture.rays)).mean(-1)


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


def _some_views(attenuation: Tensor, geometry: Geometry, grid: ImageGrid) -> Iterator[Tensor]:
    """Line integrals (z, some views, cells) of a few views at a time, in their order."""
    vectors, cells = geometry.vectors(), geometry.data_shape[1]
    for first in range(0, len(vectors), _VIEWS):
        yield ray_sums(attenuation, geometry.kind, vectors[first : first + _VIEWS], cells, grid)
