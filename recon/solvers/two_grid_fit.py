"""Images of least total variation on a coarse and on a fine grid, from data some rays of which they do not see."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from physics.averaging import refined
from physics.ct.finite_cells import Aperture
from physics.ct.missing_rays import bridged
from physics.operator import LinearOperator
from recon.scan.measurement import RunContext
from recon.solvers.krylov import cgls
from recon.solvers.left_over import rms
from recon.solvers.tv import tv_reconstruct
from recon.solvers.two_grid_problem import Problem

WEIGHT = 190.0
"""λ of the total variation over the width of a pixel of the grid and the number of its pixels along one pixel of the
result."""

FIRST_DEVIATION = 2.5e-3
"""Deviation that data are given on the coarse grid before anything is known of their error, as a share of their root
mean square."""

LEAST_DEVIATION = 6e-4
"""Least deviation that data are given on the fine grid, as the same share."""

FINE_SHARE = 0.22
"""Deviation of the fine grid's own model error over that of the coarse grid: halving the pixels takes two thirds of it
off, and an estimate that follows the data a little closer than that is the better one."""

_START_ITERATIONS, _COARSE_ITERATIONS, _ITERATIONS, _ROUND_ITERATIONS = 5, 60, 60, 60
_BALANCE, _TOLERANCE, _WARM_UP = 8e-3, 3e-4, 20
_UNSEEN = 1e4


@dataclass(frozen=True)
class Estimate:
    """A fine image, its readings and thin line integrals."""

    image: Tensor
    reading: Tensor
    thin: Tensor
    rounds: int = 0


@dataclass
class IterationCount:
    """The iterations that are done of all, told as they are made."""

    context: RunContext
    done: int
    total: int

    def step(self, iteration: int, residual: float, change: float) -> bool:
        """Tell one more iteration; whether the image has settled."""
        self.context.report("model error", self.done + iteration, self.total, residual)
        return iteration > _WARM_UP and change < _TOLERANCE


def iterations_of(rounds: int) -> int:
    """Most iterations of :func:`best_estimate`."""
    return _COARSE_ITERATIONS + _ITERATIONS + rounds * _ROUND_ITERATIONS


def best_estimate(problem: Problem, rounds: int, aperture: Aperture, told: IterationCount) -> Estimate:
    """The estimate that predicts best the rays that it did not see."""
    best = _first_estimate(problem, aperture, told)
    error = problem.held_out_error(best.reading)
    for number in range(1, rounds + 1):
        sigma = _fine_deviation(problem, best.thin - problem.project(best.image))
        defect = best.reading - best.thin
        image = _fit(problem, problem.fine, problem.y - defect, sigma, best.image.clone(), _ROUND_ITERATIONS, told)
        found = Estimate(image, problem.read(image, aperture), problem.fine(image), number)
        now = problem.held_out_error(found.reading)
        if now >= error:
            break
        best, error = found, now
    return best


def _first_estimate(problem: Problem, aperture: Aperture, told: IterationCount) -> Estimate:
    """A fit on the coarse grid, which tells the size of the model error, and from there one on the fine grid, which
    goes no nearer to the data than that allows."""
    image = refined(coarse_fit(problem, told), problem.grid.shape)
    sigma = _fine_deviation(problem, problem.fine(image) - problem.project(image))
    image = _fit(problem, problem.fine, problem.y, sigma, image, _ITERATIONS, told)
    return Estimate(image, problem.read(image, aperture), problem.fine(image))


def coarse_fit(problem: Problem, told: IterationCount) -> Tensor:
    """Total variation on the coarse grid, with a deviation that the model error of most scans does not exceed."""
    coarse = problem.measurement.operator
    start = cgls(coarse, bridged(problem.y, ~problem.held_out), _START_ITERATIONS).clamp_min_(0)
    sigma = (problem.noise.square() + (FIRST_DEVIATION * rms(problem.y)) ** 2).sqrt()
    return _fit(problem, coarse, problem.y, sigma, start, _COARSE_ITERATIONS, told)


def _fine_deviation(problem: Problem, error: Tensor) -> Tensor:
    """Deviation of the data from the best image of the fine grid: noise, and that grid's own model error.

    Args:
        problem: the data.
        error: (z, views, cells) the model error of the coarse grid, as far as it is known.
    """
    # The same everywhere: where edges make it large, a local one would smooth the very edges that the error is of.
    own = max(FINE_SHARE * rms(error), LEAST_DEVIATION * rms(problem.y))
    return (problem.noise.square() + own**2).sqrt()


def _fit(
    problem: Problem,
    operator: LinearOperator,
    y: Tensor,
    sigma: Tensor,
    start: Tensor,
    iterations: int,
    told: IterationCount,
) -> Tensor:
    """Total variation on the grid of an operator, from ``start``, which is overwritten."""
    refinement = operator.domain[-1] / problem.measurement.operator.domain[-1]
    z, *plane = problem.measurement.spacing
    rows, columns = (step / refinement for step in plane)
    pixel = min(rows, columns)
    unseen = _UNSEEN * float(sigma.max()) or 1.0
    image = tv_reconstruct(
        operator,
        bridged(y, ~problem.held_out),
        sigma.masked_fill(problem.held_out, unseen),
        WEIGHT * refinement * pixel,
        (min(pixel / z, 1.0), pixel / rows, pixel / columns),
        start,
        _BALANCE / pixel,
        iterations,
        told.step,
    )
    told.done += iterations
    return image
