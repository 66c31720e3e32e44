"""The model error of a measurement, from an estimate on a finer grid, and the data without it.

No image of square pixels explains a scan of a continuous body: the data differ from A x of the body's own mean x over
each pixel by more than photons do, and fitting them to the end turns that into streaks. But most of it can be told. An
estimate x̂ on a grid twice as fine, averaged to the grid of the result, has nearly the model error of the body itself,

    e = G(x̂) − A mean(x̂),

with G the readings of detector cells of finite width (:mod:`physics.ct.finite_cells`). Data y − e are explained by an
image on the coarse grid up to what is left, whose deviation is known locally. Every method on that grid gains alike.

x̂ minimises total variation, first on the coarse grid, then, begun with that, on the fine one. The model error of the
fine grid itself, G(x̂) − F x̂, is taken off the data in the same way and x̂ fitted again (defect correction), as long as
rays that the estimate did not see are predicted better. The same rays tell whether the correction is right at all, and
how much is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from physics.ct.finite_cells import Aperture
from recon.scan.measurement import Measurement, RunContext
from recon.solvers.finer_grid import APERTURE
from recon.solvers.left_over import LEAST_LOCAL, SEEN_SHARE, left_over, local_deviation, rms
from recon.solvers.two_grid_fit import IterationCount, best_estimate, coarse_fit, iterations_of
from recon.solvers.two_grid_problem import Problem, problems


@dataclass(frozen=True)
class TwoGridReport:
    """What was found, as plain numbers; deviations are root mean squares of line integrals.

    Attributes:
        model_error: deviation of the model error that was estimated.
        relative: its norm over that of the data.
        held_out_before: deviation of rays that the estimate did not see from its projection on the coarse grid.
        held_out_after: the same from what it predicts on the fine grid.
        noise: deviation of the data's noise that was known; 0 where none was.
        left: deviation of the pixels' model error after the correction.
        unexplained: deviation of what neither the pixels nor the noise explain of rays that the estimate did not see,
            such as rings, blur and scatter of a real detector; 0 where there is no such thing.
        rounds: times that the estimate was fitted again.
        applied: whether the error was taken off the data, as rays held out allow.
        estimated: whether the pixels are so wide that it was estimated at all.
    """

    model_error: float
    relative: float
    held_out_before: float
    held_out_after: float
    noise: float
    left: float
    unexplained: float
    rounds: int
    applied: bool
    estimated: bool = True


@dataclass(frozen=True)
class Correction:
    """A measurement without the model error that could be told.

    Attributes:
        measurement: the data corrected, their deviation that of noise and what is left of the model error together.
        error: (z, views, cells) what was taken off the data; not applied, what would have been.
        left: (z, views, cells) deviation of the model error after that, without the noise's.
        fine: (z, y, x) the estimate on the fine grid, in 1/mm; on the coarse one where that is not worth refining.
        report: the diagnostics.
    """

    measurement: Measurement
    error: Tensor
    left: Tensor
    fine: Tensor
    report: TwoGridReport


def correct_model_error(
    measurement: Measurement,
    rounds: int = 1,
    aperture: Aperture | None = None,
    context: RunContext | None = None,
) -> Correction:
    """Take off the data what a finer grid tells of the model error.

    Args:
        measurement: CT. Its ``sigma`` is that of the noise alone.
        rounds: most times that the estimate is fitted again.
        aperture: what a detector reading averages over; None takes :data:`recon.solvers.finer_grid.APERTURE`.
        context: receives progress, one step an iteration.

    Raises:
        ValueError: the measurement's protocol states no CT geometry.
    """
    context = context or RunContext()
    parts: list[Correction] = []
    slabs = list(problems(measurement))
    each = iterations_of(rounds)
    for number, problem in enumerate(slabs):
        told = IterationCount(context, number * each, len(slabs) * each)
        parts.append(_corrected(problem, rounds, aperture or APERTURE, told))
    context.report("model error", len(slabs) * each, len(slabs) * each)
    return _joined(measurement, parts)


def _corrected(problem: Problem, rounds: int, aperture: Aperture, told: IterationCount) -> Correction:
    if not problem.y.any():
        return _nothing(problem)
    if not problem.worth_refining:
        return _uncorrected(problem, told)
    estimate = best_estimate(problem, rounds, aperture, told)
    projected = problem.project(estimate.image)
    error = estimate.reading - projected
    before, after = problem.held_out_error(projected), problem.held_out_error(estimate.reading)
    applied, size = after < before, rms(error)
    noise = rms(problem.noise)
    unseen = _beyond(after if applied else before, rms(problem.noise[:, problem.held_out]))
    left = left_over(error, unseen) if applied else local_deviation(error).clamp_min(LEAST_LOCAL * size)
    unexplained = _beyond(unseen, size)
    report = TwoGridReport(
        size, size / (rms(problem.y) or 1.0), before, after, noise, rms(left), unexplained, estimate.rounds, applied
    )
    corrected = replace(
        problem.measurement,
        y=problem.y - error if applied else problem.y,
        sigma=(problem.noise.square() + left.square() + unexplained**2).sqrt(),
    )
    return Correction(corrected, error, left, estimate.image, report)


def _uncorrected(problem: Problem, told: IterationCount) -> Correction:
    """Of pixels that are not worth refining: nothing is taken off, but the coarse grid's own fit tells whether rays
    that it did not see are off by more than their noise."""
    image = coarse_fit(problem, told)
    unseen = problem.held_out_error(problem.measurement.operator(image))
    known = rms(problem.noise[:, problem.held_out])
    unexplained = SEEN_SHARE * _beyond(unseen, known) if known else 0.0
    nothing = torch.zeros_like(problem.y)
    report = TwoGridReport(0.0, 0.0, unseen, unseen, rms(problem.noise), 0.0, unexplained, 0, False, estimated=False)
    told_of = replace(problem.measurement, sigma=(problem.noise.square() + unexplained**2).sqrt())
    return Correction(told_of, nothing, nothing, image, report)


def _beyond(deviation: float, known: float) -> float:
    """What a deviation has beyond a known one, in power; 0 where it is no larger."""
    return max(deviation**2 - known**2, 0.0) ** 0.5


def _nothing(problem: Problem) -> Correction:
    """Of slices that nothing was measured of, which have no model error."""
    image = problem.y.new_zeros(problem.mean.domain)
    report = TwoGridReport(0.0, 0.0, 0.0, 0.0, rms(problem.noise), 0.0, 0.0, 0, False)
    empty = replace(problem.measurement, sigma=problem.noise)
    nothing = torch.zeros_like(problem.y)
    return Correction(empty, nothing, nothing, image, report)


def _joined(measurement: Measurement, parts: list[Correction]) -> Correction:
    """The slabs as one; numbers of the reports averaged in power."""
    reports = [part.report for part in parts]
    sizes = [len(part.error) for part in parts]

    def mean(of: Callable[[TwoGridReport], float]) -> float:
        powers = [size * of(report) ** 2 for size, report in zip(sizes, reports, strict=True)]
        return (sum(powers) / sum(sizes)) ** 0.5

    error = torch.cat([part.error for part in parts])
    report = TwoGridReport(
        model_error=mean(lambda r: r.model_error),
        relative=float(error.norm() / measurement.y.norm()) if measurement.y.any() else 0.0,
        held_out_before=mean(lambda r: r.held_out_before),
        held_out_after=mean(lambda r: r.held_out_after),
        noise=mean(lambda r: r.noise),
        left=mean(lambda r: r.left),
        unexplained=mean(lambda r: r.unexplained),
        rounds=max(report.rounds for report in reports),
        applied=any(report.applied for report in reports),
        estimated=any(report.estimated for report in reports),
    )
    y = torch.cat([part.measurement.y for part in parts])
    sigma = torch.cat([torch.as_tensor(part.measurement.sigma) for part in parts])
    left, fine = torch.cat([part.left for part in parts]), torch.cat([part.fine for part in parts])
    return Correction(replace(measurement, y=y, sigma=sigma), error, left, fine, report)
