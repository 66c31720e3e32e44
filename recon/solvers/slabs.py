"""A volume's measurement, a few slices at a time."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from physics.mr.cartesian import CartesianMR
from recon.scan.measurement import Measurement


def in_slabs(measurement: Measurement, slices: int) -> Iterator[tuple[slice, Measurement]]:
    """A measurement of a few slices at a time, so that memory does not grow with the volume."""
    for first in range(0, len(measurement.y), slices):
        part = slice(first, min(first + slices, len(measurement.y)))
        yield part, measurement_of_slices(measurement, part)


def measurement_of_slices(measurement: Measurement, part: slice) -> Measurement:
    """The measurement of some slices alone."""
    operator, sigma = measurement.operator, measurement.sigma
    if isinstance(operator, CartesianMR):
        operator = operator.slices(part.start, part.stop)
    if isinstance(sigma, Tensor) and sigma.ndim:
        sigma = sigma[part]
    return Measurement(measurement.y[part], operator, sigma, measurement.spacing, measurement.protocol)
