"""A scan on a grid finer than that of its result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from physics.averaging import AreaAverage
from physics.ct import make_projector
from physics.ct.geometry import Geometry, ImageGrid, geometry_from_dict
from physics.ct.missing_rays import MissingRays
from physics.operator import LinearOperator
from recon.scan.measurement import Measurement

REFINEMENT = 2
"""Fine pixels for one of the result, along each axis."""


@dataclass(frozen=True)
class FinerGrid:
    """The operators of a scan on a finer grid.

    Attributes:
        operator: the operator of thin rays from images on the finer grid to the data.
        mean: the operator that averages such an image over the pixels of the result.
        geometry: the geometry of the scan, its number of cells decided.
        grid: the pixels of the finer grid.
    """

    operator: LinearOperator
    mean: LinearOperator
    geometry: Geometry
    grid: ImageGrid


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
    whole = make_projector(geometry, grid, operator.device, slices)
    fine = whole if operator.mask is None else MissingRays(whole, operator.mask)
    return FinerGrid(fine, AreaAverage(grid.shape, (rows, columns), slices), geometry, grid)
