"""The data of some slices and the operators of two grids, from which the model error of their pixels is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from physics.ct.field_of_view import magnification
from physics.ct.finite_cells import Aperture, readings
from physics.ct.geometry import Geometry, ImageGrid
from physics.operator import LinearOperator
from recon.scan.measurement import Measurement
from recon.solvers.finer_grid import FinerGrid, finer_grid
from recon.solvers.left_over import rms
from recon.solvers.slabs import in_slabs

WORTH_REFINING = 1.25
"""Pixels this many times as wide as a detector cell is at the isocentre, or wider, have a model error that a finer grid
tells. Of narrower ones it is a third of that and less, and no grid tells it: on scans of 512 × 512 pixels of a cell's
width, total variation lost 0.3 dB by the model error and as much again by correcting it."""

_HELD_OUT_EVERY = 20
"""One cell of so many of each view is held out."""

_SLAB_VOXELS = 2**24
"""Fine voxels that are estimated at once."""


@dataclass(frozen=True)
class Problem:
    """Some slices' data and the operators on both grids.

    Attributes:
        measurement: the measurement of these slices, on the coarse grid; its operator is A.
        noise: (z, views, cells) standard deviation that is known, 0 where none is.
        finer: the fine grid of all slices.
        part: these slices of them.
        held_out: (views, cells) bool, rays that the estimate does not see.
    """

    measurement: Measurement
    noise: Tensor
    finer: FinerGrid
    part: slice
    held_out: Tensor

    @cached_property
    def fine(self) -> LinearOperator:
        """F, thin rays on the fine grid; made when it is asked for."""
        return self.finer.operator.slices(self.part)

    @cached_property
    def mean(self) -> LinearOperator:
        """The operator that averages a fine image over the pixels of the coarse grid."""
        return self.finer.mean.slices(self.part)

    @property
    def geometry(self) -> Geometry:
        """The geometry of the scan."""
        return self.finer.geometry

    @property
    def grid(self) -> ImageGrid:
        """Pixels of the fine grid."""
        return self.finer.grid

    @property
    def worth_refining(self) -> bool:
        """Whether the pixels are so wide that a finer grid tells something."""
        return min(self.measurement.spacing[1:]) >= WORTH_REFINING * self.geometry.pitch / magnification(self.geometry)

    @property
    def y(self) -> Tensor:
        """The data."""
        return self.measurement.y

    def project(self, image: Tensor) -> Tensor:
        """A mean of a fine image."""
        return self.measurement.operator(self.mean(image))

    def read(self, image: Tensor, aperture: Aperture) -> Tensor:
        """G of a fine image, 0 where nothing was measured."""
        found = readings(image.cpu(), self.geometry, self.grid, aperture).to(self.y)
        mask = self.measurement.operator.mask
        return found if mask is None else found * mask

    def held_out_error(self, prediction: Tensor) -> float:
        """Root mean square of the data minus a prediction over the rays that were not seen."""
        return rms((self.y - prediction)[:, self.held_out])


def problems(measurement: Measurement) -> Iterator[Problem]:
    """The problem of a few slices at a time."""
    finer = finer_grid(measurement)
    held_out = _held_out(*finer.geometry.data_shape).to(measurement.operator.device)
    noise = torch.as_tensor(0.0 if measurement.sigma is None else measurement.sigma).to(measurement.y)
    noise = noise.expand_as(measurement.y)
    for part, slab in in_slabs(measurement, max(1, _SLAB_VOXELS // math.prod(finer.grid.shape))):
        yield Problem(slab, noise[part], finer, part, held_out)


def _held_out(views: int, cells: int) -> Tensor:
    """(views, cells) bool: one cell of every twenty in each view, none beside another, from a fixed seed."""
    first = torch.randint(_HELD_OUT_EVERY, (views, 1), generator=torch.Generator().manual_seed(0))
    place = torch.arange(cells)
    return ((place - first) % _HELD_OUT_EVERY == 0) & (place > 0) & (place < cells - 1)
