"""MR methods on volumes: slices in batches, as one problem each, with one convergence curve."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.mri import CartesianMR, ShiftFreeMR
from recon.measurement import Measurement, Reconstruction, RunContext, TracePoint

Report = Callable[[int, float], None]
"""Called by a solver as ``report(iteration, data_residual)`` with the norm ‖Ax − b‖ of its batch."""

_BATCH_ELEMENTS = 2**22
"""k-space samples solved at once: 64 slices of 256² with one coil, 32 MiB an array."""


@dataclass(frozen=True)
class SliceProblem:
    """A few slices' data, in the form that is cheap to iterate on (:meth:`CartesianMR.without_shifts`).

    Attributes:
        operator: A, (n, y, x) to (n, coils, y, x).
        data: b, (n, coils, y, x) complex64.
        zero_filled: Aᴴb, (n, y, x) complex64.
        step: 1/L with L a bound of ‖AᴴA‖, the step of a gradient method.
    """

    operator: ShiftFreeMR
    data: Tensor
    zero_filled: Tensor
    step: float


def encoding_of(measurement: Measurement) -> CartesianMR:
    """The measurement's operator, which the MR methods need to be Cartesian (``TypeError`` if it is not)."""
    if not isinstance(measurement.operator, CartesianMR):
        raise TypeError(f"this method needs a CartesianMR operator, not {type(measurement.operator).__name__}")
    return measurement.operator


def zero_filled(measurement: Measurement, batch: int | None = None) -> Tensor:
    """Aᴴy of a whole volume, (z, y, x) complex64, in batches of slices."""
    encoding, y = encoding_of(measurement), measurement.y
    batch = batch or slices_per_batch(y)
    parts = [encoding.slices(a, b).adjoint(y[a:b]) for a, b in _spans(y.shape[0], batch)]
    return torch.cat(parts)


def solve_slicewise(
    measurement: Measurement,
    context: RunContext,
    iterations: int,
    solve: Callable[[SliceProblem, Report], Tensor],
    batch: int | None = None,
) -> Reconstruction:
    """Run a solver on batches of slices and join what it returns.

    Args:
        measurement: with a :class:`CartesianMR` operator.
        context: receives progress as though the batches were one run of batches × ``iterations``.
        iterations: the most iterations that ``solve`` makes.
        solve: returns (n, y, x) for a problem of n slices, reporting after every iteration.
        batch: slices at once; None: as many as keep the working set small.
    """
    encoding, y = encoding_of(measurement), measurement.y
    spans = _spans(y.shape[0], batch or slices_per_batch(y))
    norm = float(torch.linalg.vector_norm(y))
    image = y.new_empty((y.shape[0], *y.shape[-2:]))
    curves: list[list[float]] = []
    for number, (first, last) in enumerate(spans):
        curve: list[float] = []

        def report(iteration: int, residual: float, curve: list[float] = curve, done: int = number) -> None:
            curve.append(residual)
            share = norm * math.sqrt(1 / len(spans))  # a batch's part of ‖y‖, were all alike
            context.progress(done * iterations + iteration, len(spans) * iterations, residual / (share or 1.0))

        image[first:last] = solve(_problem(encoding.slices(first, last), y[first:last]), report)
        curves.append(curve)
    return Reconstruction(image, trace=_joined(curves, norm))


def slices_per_batch(y: Tensor) -> int:
    """How many slices of ``y`` (z, coils, y, x) to solve at once."""
    return max(1, _BATCH_ELEMENTS // (y[0].numel() or 1))


def _spans(slices: int, batch: int) -> list[tuple[int, int]]:
    return [(first, min(first + batch, slices)) for first in range(0, slices, batch)]


def _problem(encoding: CartesianMR, y: Tensor) -> SliceProblem:
    operator, data = encoding.without_shifts(y)
    return SliceProblem(operator, data, operator.adjoint(data), 1 / encoding.norm_bound**2)


def _joined(curves: list[list[float]], norm: float) -> tuple[TracePoint, ...]:
    """One curve of ‖Ax − y‖/‖y‖ from the batches' ‖Ax − b‖; a batch that stopped keeps its last value."""
    longest = max(map(len, curves), default=0)
    padded = [curve + curve[-1:] * (longest - len(curve)) for curve in curves]
    return tuple(TracePoint(i + 1, math.hypot(*values) / (norm or 1.0)) for i, values in enumerate(zip(*padded)))
