"""A scan on a grid finer than that of its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from physics.averaging import AreaAverage
from physics.ct import make_projector
from physics.ct.finite_cells import Aperture, readings
from physics.ct.geometry import Geometry, ImageGrid, geometry_from_dict
from physics.ct.missing_rays import MissingRays
from physics.operator import LinearOperator
from recon.scan.measurement import Measurement

REFINEMENT = 2
"""Fine pixels for one of the result, along each axis."""

APERTURE = Aperture(2)
"""What a reading averages over, where the scanner's own aperture is not known."""


@dataclass(frozen=True)
class FinerGrid:
    """A scan on a finer grid.

    Attributes:
        mean: the operator that averages an image on the finer grid over the pixels of the result.
        geometry: the geometry of the scan, its number of cells decided.
        grid: the pixels of the finer grid.
        mask: bool, the rays that were measured, as an operator's mask; None where all were.
        device: the device of the operators.
    """

    mean: LinearOperator
    geometry: Geometry
    grid: ImageGrid
    mask: Tensor | None
    device: torch.device

    @cached_property
    def operator(self) -> LinearOperator:
        """The operator of thin rays from images on the finer grid to the data; it is made when it is asked for."""
        whole = make_projector(self.geometry, self.grid, self.device, self.mean.domain[0])
        return whole if self.mask is None else MissingRays(whole, self.mask)

    def read(self, image: Tensor, aperture: Aperture = APERTURE) -> Tensor:
        """What cells of finite width read of an image (z, y, x) on the finer grid; 0 where nothing was measured."""
        found = readings(image.cpu(), self.geometry, self.grid, aperture).to(self.device)
        return found if self.mask is None else found * self.mask


def finer_grid(measurement: Measurement) -> FinerGrid:
    """The finer grid of a CT measurement, with :data:`REFINEMENT` times as many pixels along each axis.

    Raises:
        ValueError: the measurement's protocol states no CT geometry.
    """
    operator, (_, y, x) = measurement.operator, measurement.spacing
    if measurement.protocol.geometry is None:
        raise ValueError("a finer grid needs the CT geometry of the scan, which this measurement does not state")
    slices, rows, columns = operator.domain
    grid = ImageGrid((REFINEMENT * rows, REFINEMENT * columns), (y / REFINEMENT, x / REFINEMENT))
    stated = {key: value for key, value in measurement.protocol.geometry.items() if key != "description"}
    geometry = replace(geometry_from_dict(stated), cells=operator.range[-1])
    mean = AreaAverage(grid.shape, (rows, columns), slices)
    return FinerGrid(mean, geometry, grid, operator.mask, operator.device)
