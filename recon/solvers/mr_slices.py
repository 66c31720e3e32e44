"""MR methods on volumes: slices in batches, as one problem each, with one convergence curve."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.mr.cartesian import CartesianMR, ShiftFreeMR
from recon.scan.measurement import Measurement, Reconstruction, RunContext, TracePoint
from recon.scan.once import once_per_measurement

Report = Callable[[int, float], None]
"""Called by a solver as ``report(iteration, data_residual)`` with the norm ‖Ax − b‖ of its batch."""

_BATCH_ELEMENTS = 2**19
"""k-space samples solved at once: 8 slices of 256² with one coil, 1 with 8 coils; 4 MiB an array, near the cache."""


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


@once_per_measurement
def zero_filled(measurement: Measurement) -> Tensor:
    """Aᴴy of a whole volume, (z, y, x) complex64, in batches of slices; not to be changed in place."""
    encoding, y = encoding_of(measurement), measurement.y
    parts = [encoding.slices(a, b).adjoint(y[a:b]) for a, b in _spans(y.shape[0], slices_per_batch(y))]
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
    image = y.new_empty((y.shape[0], *y.shape[-2:]))
    curves: list[list[float]] = []
    for number, (first, last) in enumerate(spans):
        curves.append([])
        done, total = number * iterations, len(spans) * iterations
        report = _reporter(curves[-1], context, done, total, norm(y[first:last]) or 1.0)
        image[first:last] = solve(_problem(encoding.slices(first, last), y[first:last]), report)
    return Reconstruction(image, trace=_joined(curves, norm(y)))


@dataclass(frozen=True)
class Weight:
    """A regularisation weight.

    Attributes:
        relative: λ / max|Aᴴy|.
        absolute: λ, in the image's unit.
    """

    relative: float
    absolute: float


def relative_to_peak(measurement: Measurement, weight: float | None, noise_free: float, noise_factor: float) -> Weight:
    """The weight the user chose (relative to max|Aᴴy|), or else ``noise_factor`` · σ but at least ``noise_free``."""
    peak = norm_max(zero_filled(measurement))
    if weight is None:
        sigma = noise_level(measurement)
        weight = max(noise_free, noise_factor * sigma / peak) if peak > 0 else noise_free
    return Weight(weight, weight * peak)


def noise_level(measurement: Measurement) -> float:
    """σ per complex sample, 0 for noise-free data; a tensor of them is averaged in power."""
    if measurement.sigma is None:
        return 0.0
    return float(torch.as_tensor(measurement.sigma, dtype=torch.float64).square().mean().sqrt())


def norm(x: Tensor) -> float:
    """‖x‖ of a complex tensor (on its real view: torch's complex norm is ten times slower)."""
    return float(torch.linalg.vector_norm(torch.view_as_real(x)))


def norm_max(x: Tensor) -> float:
    """max|x| of a complex tensor."""
    return float(torch.hypot(x.real, x.imag).amax())


def slices_per_batch(y: Tensor) -> int:
    """How many slices of ``y`` (z, coils, y, x) to solve at once."""
    return max(1, _BATCH_ELEMENTS // (y[0].numel() or 1))


def _reporter(curve: list[float], context: RunContext, done: int, total: int, size: float) -> Report:
    """Records a batch's residuals in ``curve`` and shows them relative to ``size``, after ``done`` iterations."""

    def report(iteration: int, residual: float) -> None:
        curve.append(residual)
        context.report("iterations", done + iteration, total, residual / size)

    return report


def _spans(slices: int, batch: int) -> list[tuple[int, int]]:
    return [(first, min(first + batch, slices)) for first in range(0, slices, batch)]


def _problem(encoding: CartesianMR, y: Tensor) -> SliceProblem:
    operator, data = encoding.without_shifts(y)
    return SliceProblem(operator, data, operator.adjoint(data), 1 / encoding.norm_bound**2)


def _joined(curves: list[list[float]], total: float) -> tuple[TracePoint, ...]:
    """One curve of ‖Ax − y‖/‖y‖ from the batches' ‖Ax − b‖; a batch that stopped keeps its last value."""
    longest = max(map(len, curves), default=0)
    padded = [curve + curve[-1:] * (longest - len(curve)) for curve in curves]
    residuals = (math.hypot(*values) / (total or 1.0) for values in zip(*padded, strict=True))
    return tuple(TracePoint(iteration, residual) for iteration, residual in enumerate(residuals, start=1))
