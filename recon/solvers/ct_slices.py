"""CT methods that solve each slice for itself: slab by slab, so that memory does not grow with the volume."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from physics.ct.projector import Projector
from recon.scan.measurement import Measurement, Reconstruction, RunContext, TracePoint

Report = Callable[[int, Tensor], bool]
"""Called by a solver with the iteration and the residual y − Ax; a true answer stops it."""

Solve = Callable[[Projector, Tensor, Report], Tensor]

_SLAB_ELEMENTS = 2**23
"""Voxels solved at once: 32 slices of 512²."""


def projector_of(measurement: Measurement) -> Projector:
    """The measurement's operator, which the CT methods need to be a projector (``TypeError`` if it is not)."""
    if not isinstance(measurement.operator, Projector):
        raise TypeError(f"this method needs a Projector, not {type(measurement.operator).__name__}")
    return measurement.operator


def solve_slabs(measurement: Measurement, context: RunContext, iterations: int, solve: Solve) -> Reconstruction:
    """Run a solver slab by slab, stopping each slab when its residual has reached the noise.

    Args:
        measurement: with a :class:`~physics.ct.projector.Projector`.
        context: receives progress as though the slabs were one run of slabs × ``iterations``.
        iterations: the most iterations that ``solve`` makes.
        solve: returns (n, y, x) for (n, views, cells), asking its report after every iteration whether to stop.
    """
    projector, y = projector_of(measurement), measurement.y
    image = y.new_empty((y.shape[0], *projector.domain))
    height = max(1, _SLAB_ELEMENTS // (projector.domain[0] * projector.domain[1]))
    starts = range(0, y.shape[0], height)
    powers: list[list[float]] = []
    for number, first in enumerate(starts):
        slab = slice(first, first + height)
        limit = _noise_power(measurement, slab)
        data_power = float(y[slab].square().sum())
        curve: list[float] = []

        def report(
            iteration: int,
            residual: Tensor,
            done: int = number * iterations,
            limit: float = limit,
            data_power: float = data_power,
            curve: list[float] = curve,
        ) -> bool:
            curve.append(float(residual.square().sum()))
            context.report("iterations", done + iteration, len(starts) * iterations, _ratio(curve[-1], data_power))
            return curve[-1] <= limit

        image[slab] = solve(projector, y[slab], report)
        powers.append(curve)
    return Reconstruction(image, trace=_joined(powers, float(y.square().sum())))


def _noise_power(measurement: Measurement, slab: slice) -> float:
    """Σσ² of the slab: the residual that the truth itself would leave (discrepancy principle); 0 if noise-free."""
    if measurement.sigma is None:
        return 0.0
    sigma = torch.as_tensor(measurement.sigma)
    return float(sigma.expand_as(measurement.y)[slab].square().sum())


def _joined(powers: list[list[float]], total: float) -> tuple[TracePoint, ...]:
    """One curve of ‖y − Ax‖/‖y‖ from the slabs' ‖y − Ax‖²; a slab that stopped keeps its last value."""
    longest = max(map(len, powers), default=0)
    padded = [curve + curve[-1:] * (longest - len(curve)) for curve in powers]
    return tuple(TracePoint(i, _ratio(sum(parts), total)) for i, parts in enumerate(zip(*padded, strict=True), start=1))


def _ratio(power: float, total: float) -> float:
    return (power / total) ** 0.5 if total else 0.0
