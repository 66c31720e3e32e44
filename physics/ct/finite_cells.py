"""What detector cells of finite width read: intensities averaged over cell and focal spot, not line integrals.

A cell counts every photon that reaches it, so that it averages exp(−line integral) over its width and over the focal
spot. Where the object has an edge within a cell, that mean is not the exponential of the mean line integral, and no
thin ray has it (exponential edge gradient effect, Joseph & Spital 1981, Phys Med Biol 26:473).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
from torch import Tensor

from physics.ct.geometry import FanBeam, Geometry, ImageGrid, ParallelBeam
from physics.ct.sparse_product import SparseProduct
from physics.ct.system_matrix import build_by_pixels, matrix_bytes

_BLOCK_BYTES = 256 * 2**20
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

    The system matrix of a few views at a time is built, used and dropped, so that memory stays bounded.

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
        for views, integrals in _blocks(attenuation, _fine_detector(source, aperture.rays), grid):
            cells = integrals.neg_().exp_().unflatten(-1, (-1, aperture.rays)).mean(-1)
            transmitted[:, views] += cells / len(sources)
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


def _blocks(attenuation: Tensor, geometry: Geometry, grid: ImageGrid) -> Iterator[tuple[slice, Tensor]]:
    """Line integrals (z, some views, cells) of a few views at a time."""
    step = max(1, int(geometry.views * _BLOCK_BYTES / matrix_bytes(geometry, grid, attenuation.element_size())))
    flat = attenuation.flatten(1)
    for first in range(0, geometry.views, step):
        views = slice(first, min(first + step, geometry.views))
        integrals = flat.new_zeros((len(flat), views.stop - views.start, geometry.data_shape[1]))
        matrix = build_by_pixels(geometry, grid, views, dtype=flat.dtype)
        SparseProduct(matrix, integrals[0].numel()).add_transposed_product(flat, integrals)
        yield views, integrals
