"""A volume's measurement, a few slices at a time, so that memory does not grow with the volume.

A slab is some neighbouring slices of a measurement whose operator is separable. Where the operator couples the slices
there is one slab, the whole volume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from physics.operator import LinearOperator
from recon.scan.measurement import Measurement, Reconstruction, RunContext, TracePoint
from recon.scan.once import once_per_measurement

Monitor = Callable[[int, float], bool]
"""Called by a solver after every iteration with its number and ‖Ax − b‖ of the slab; the answer tells whether the
residual has come down to what the noise explains (discrepancy principle, Morozov 1966), where a solver may stop."""

Solve = Callable[[LinearOperator, Tensor, Monitor], Tensor]
"""(A, b, monitor) of a slab to its image."""


def in_slabs(measurement: Measurement, slices: int | None = None) -> Iterator[tuple[slice, Measurement]]:
    """The slabs of a measurement, each with the slices that it covers.

    Args:
        measurement: measurement of the volume.
        slices: most slices of a slab; None: as many as the operator likes at once.
    """
    depth = measurement.operator.domain[0]
    if not measurement.operator.separable:
        yield slice(0, depth), measurement
        return
    slices = slices or slices_at_once(measurement.operator)
    for first in range(0, depth, slices):
        part = slice(first, min(first + slices, depth))
        yield part, measurement.slices(part)


def slices_at_once(operator: LinearOperator) -> int:
    """How many slices a separable operator likes at once, 1 at least."""
    largest = max(math.prod(operator.domain[1:]), math.prod(operator.range[1:]), 1)
    return max(1, operator.slab_elements // largest)


def solve_in_slabs(
    measurement: Measurement, context: RunContext, iterations: int, solve: Solve, slices: int | None = None
) -> Reconstruction:
    """Run a solver on every slab and join the images, with one convergence curve.

    Args:
        measurement: measurement of the volume.
        context: receives progress as though the slabs were one run of slabs × ``iterations``.
        iterations: the most iterations that ``solve`` makes.
        solve: solver of a slab, in the form that is cheap to iterate on (``LinearOperator.equivalent_problem``).
        slices: most slices of a slab; None: as many as the operator likes at once.
    """
    slabs = list(in_slabs(measurement, slices))
    image = measurement.y.new_empty(measurement.operator.domain)
    curves: list[list[float]] = []
    for number, (part, slab) in enumerate(slabs):
        curves.append([])
        monitor = _monitor(curves[-1], context, number * iterations, len(slabs) * iterations, slab)
        image[part] = solve(*slab.operator.equivalent_problem(slab.y), monitor)
    return Reconstruction(image, trace=_joined(curves, norm(measurement.y)))


@once_per_measurement
def zero_filled(measurement: Measurement) -> Tensor:
    """Aᴴy of a whole volume, (z, y, x), with samples on no grid weighted by their density (gridding).

    Not to be changed in place.
    """
    return torch.cat([slab.operator.direct(slab.y) for _, slab in in_slabs(measurement)])


def norm(x: Tensor) -> float:
    """‖x‖ (of complex tensors on their real view: torch's complex norm is ten times slower)."""
    return float(torch.linalg.vector_norm(torch.view_as_real(x) if x.is_complex() else x))


def _monitor(curve: list[float], context: RunContext, done: int, total: int, slab: Measurement) -> Monitor:
    """Records a slab's residuals in ``curve`` and shows them over ‖y‖, after ``done`` iterations of other slabs."""
    limit, size = slab.noise_power**0.5, norm(slab.y)

    def monitor(iteration: int, residual: float) -> bool:
        curve.append(residual)
        context.report("iterations", done + iteration, total, _ratio(residual, size))
        return residual <= limit

    return monitor


def _joined(curves: list[list[float]], total: float) -> tuple[TracePoint, ...]:
    """One curve of ‖Ax − y‖/‖y‖ from the slabs' ‖Ax − b‖; a slab that stopped keeps its last value."""
    longest = max(map(len, curves), default=0)
    padded = [curve + curve[-1:] * (longest - len(curve)) for curve in curves]
    residuals = (_ratio(math.hypot(*values), total) for values in zip(*padded, strict=True))
    return tuple(TracePoint(iteration, residual) for iteration, residual in enumerate(residuals, start=1))


def _ratio(residual: float, size: float) -> float:
    return residual / size if size else 0.0
