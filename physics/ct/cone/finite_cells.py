"""What the cells of a cone beam's detector read: intensities averaged over each cell, not line integrals.

As :mod:`physics.ct.finite_cells` for the fan beam, over the height of a cell too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.projector import ConeProjector
from physics.ct.cone.views import ConeGeometry
from physics.ct.finite_cells import Transmission, monochromatic

_RAYS = 2**23
"""Single rays whose readings are kept at once."""


def cone_readings(
    materials: Sequence[Tensor],
    geometry: ConeGeometry,
    grid: VolumeGrid,
    rays: int = 2,
    transmission: Transmission = monochromatic,
) -> Tensor:
    """Line integrals as a noise-free detector reports them: −log of the mean of exp(−line integral).

    Args:
        materials: (z, y, x) attenuation in 1/mm of each material on ``grid``, on the CPU.
        geometry: the scanner's geometry, its rows and cells decided.
        grid: the object's voxels.
        rays: rays along each side of a cell, evenly spread.
        transmission: what rays transmit, by their line integrals through the materials, one after the other.

    Returns:
        (rows, views, cells), dimensionless.
    """
    rows, views, cells = geometry.scan_shape
    found = materials[0].new_empty((rows, views, cells))
    step = max(1, _RAYS // (rows * cells * rays**2))
    for first in range(0, views, step):
        part = slice(first, min(first + step, views))
        projector = ConeProjector(fine_detector(geometry.part(part), rays), grid, materials[0].dtype)
        transmitted = transmission(torch.cat([projector(each) for each in materials]))
        cut = transmitted.unflatten(-1, (cells, rays)).unflatten(0, (rows, rays))
        found[:, part] = cut.mean((1, -1)).log_().neg_()
    return found


def fine_detector(geometry: ConeGeometry, rays: int) -> ConeGeometry:
    """The same detector with each cell cut into ``rays`` × ``rays``."""
    rows, _, cells = geometry.scan_shape
    if isinstance(geometry, ConeBeam):
        pitch, row_pitch = geometry.pitch / rays, geometry.row_pitch / rays
        return replace(geometry, cells=cells * rays, rows=rows * rays, pitch=pitch, row_pitch=row_pitch)
    facts = np.asarray(geometry.vectors, float)
    facts[:, 6:] /= rays
    vectors = tuple(tuple(float(each) for each in view) for view in facts)
    return replace(geometry, vectors=vectors, cells=cells * rays, rows=rows * rays)
