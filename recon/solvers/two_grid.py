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

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from physics.averaging import AreaAverage, refined
from physics.ct import make_projector
from physics.ct.field_of_view import magnification
from physics.ct.finite_cells import Aperture, readings
from physics.ct.geometry import Geometry, ImageGrid, geometry_from_dict
from physics.ct.missing_rays import MissingRays, bridged
from physics.operator import LinearOperator
from recon.scan.measurement import Measurement, RunContext
from recon.solvers.krylov import cgls
from recon.solvers.slabs import in_slabs
from recon.solvers.tv import tv_reconstruct

WEIGHT = 190.0
"""λ of the total variation per mm of fine pixel and share of :data:`REFINEMENT`, in mm."""

REFINEMENT = 2
"""Fine pixels for one of the result, along each axis."""

WORTH_REFINING = 1.25
"""Pixels this many times as wide as a detector cell is at the isocentre, or wider, have a model error that a finer grid
tells. Of narrower ones it is a third of that and less, and no grid tells it: on scans of 512 × 512 pixels of a cell's
width, total variation lost 0.3 dB by the model error and as much again by correcting it."""

FIRST_DEVIATION = 2.5e-3
"""Deviation that data are given on the coarse grid before anything is known of their error, as a share of their root
mean square."""

LEAST_DEVIATION = 6e-4
"""Least deviation that data are given on the fine grid, as the same share."""

FINE_SHARE = 0.22
"""Deviation of the fine grid's own model error over that of the coarse grid: halving the pixels takes two thirds of it
off, and an estimate that follows the data a little closer than that is the better one."""

SEEN_SHARE = 0.75
"""Deviation of what is left at rays that the estimate saw, over that at rays that it did not see."""

LOCAL_POWER = 0.55
"""What is left grows with this power of the local model error: large errors are told better than small ones."""

LEAST_LEFT = 0.2
"""What is left is never taken for less than this share of the model error."""

LEAST_LOCAL = 0.05
"""A local model error is never taken for less than this share of the whole one, as of rays through air."""

_HELD_OUT_EVERY = 20
"""One cell of so many of each view is held out."""

_START_ITERATIONS, _COARSE_ITERATIONS, _ITERATIONS, _ROUND_ITERATIONS = 5, 60, 60, 60
_BALANCE, _TOLERANCE, _WARM_UP = 8e-3, 3e-4, 20
_UNSEEN = 1e4
_WINDOW = 9
"""Cells over which a local deviation is a mean."""

_SLAB_VOXELS = 2**24
"""Fine voxels that are estimated at once."""


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


@dataclass(frozen=True)
class _Problem:
    """Some slices' data and the operators on both grids.

    Attributes:
        measurement: the measurement of these slices, on the coarse grid; its operator is A.
        noise: (z, views, cells) standard deviation that is known, 0 where none is.
        fine: F, thin rays on the fine grid.
        mean: the operator that averages a fine image over the pixels of the coarse grid.
        geometry: the geometry of the scan.
        grid: pixels of the fine grid.
        held_out: (views, cells) bool, rays that the estimate does not see.
    """

    measurement: Measurement
    noise: Tensor
    fine: LinearOperator
    mean: LinearOperator
    geometry: Geometry
    grid: ImageGrid
    held_out: Tensor

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
        return _rms((self.y - prediction)[:, self.held_out])


@dataclass(frozen=True)
class _Estimate:
    """A fine image, its readings and thin line integrals."""

    image: Tensor
    reading: Tensor
    thin: Tensor
    rounds: int = 0


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
        aperture: what a detector reading averages over; None takes two rays a cell.
        context: receives progress, one step an iteration.

    Raises:
        ValueError: the measurement's protocol states no CT geometry.
    """
    context = context or RunContext()
    parts: list[Correction] = []
    problems = list(_problems(measurement))
    each = _COARSE_ITERATIONS + _ITERATIONS + rounds * _ROUND_ITERATIONS
    for number, problem in enumerate(problems):
        told = _Count(context, number * each, len(problems) * each)
        parts.append(_corrected(problem, rounds, aperture or Aperture(2), told))
    context.report("model error", len(problems) * each, len(problems) * each)
    return _joined(measurement, parts)


@dataclass
class _Count:
    """The iterations that are done of all, told as they are made."""

    context: RunContext
    done: int
    total: int

    def step(self, iteration: int, residual: float, change: float) -> bool:
        """Tell one more iteration; whether the image has settled."""
        self.context.report("model error", self.done + iteration, self.total, residual)
        return iteration > _WARM_UP and change < _TOLERANCE


def _problems(measurement: Measurement) -> Iterator[_Problem]:
    """The problem of a few slices at a time."""
    operator, (_, y, x) = measurement.operator, measurement.spacing
    if measurement.protocol.geometry is None:
        raise ValueError(
            "the model error of a scan is told from its CT geometry, which this measurement does not state"
        )
    rows, columns = operator.domain[-2:]
    grid = ImageGrid((REFINEMENT * rows, REFINEMENT * columns), (y / REFINEMENT, x / REFINEMENT))
    stated = {key: value for key, value in measurement.protocol.geometry.items() if key != "description"}
    geometry = replace(geometry_from_dict(stated), cells=operator.range[-1])
    whole = make_projector(geometry, grid, operator.device, operator.domain[0])
    fine = whole if operator.mask is None else MissingRays(whole, operator.mask)
    mean = AreaAverage(grid.shape, (rows, columns), operator.domain[0])
    held_out = _held_out(*geometry.data_shape).to(operator.device)
    noise = torch.as_tensor(0.0 if measurement.sigma is None else measurement.sigma).to(measurement.y)
    noise = noise.expand_as(measurement.y)
    for part, slab in in_slabs(measurement, max(1, _SLAB_VOXELS // math.prod(grid.shape))):
        yield _Problem(slab, noise[part], fine.slices(part), mean.slices(part), geometry, grid, held_out)


def _held_out(views: int, cells: int) -> Tensor:
    """(views, cells) bool: one cell of every twenty in each view, none beside another, from a fixed seed."""
    first = torch.randint(_HELD_OUT_EVERY, (views, 1), generator=torch.Generator().manual_seed(0))
    place = torch.arange(cells)
    return ((place - first) % _HELD_OUT_EVERY == 0) & (place > 0) & (place < cells - 1)


def _corrected(problem: _Problem, rounds: int, aperture: Aperture, told: _Count) -> Correction:
    if not problem.y.any():
        return _nothing(problem)
    if not problem.worth_refining:
        return _uncorrected(problem, told)
    estimate = _best_estimate(problem, rounds, aperture, told)
    projected = problem.project(estimate.image)
    error = estimate.reading - projected
    before, after = problem.held_out_error(projected), problem.held_out_error(estimate.reading)
    applied, size = after < before, _rms(error)
    noise = _rms(problem.noise)
    unseen = _beyond(after if applied else before, _rms(problem.noise[:, problem.held_out]))
    left = left_over(error, unseen) if applied else local_deviation(error).clamp_min(LEAST_LOCAL * size)
    unexplained = _beyond(unseen, size)
    report = TwoGridReport(
        size, size / (_rms(problem.y) or 1.0), before, after, noise, _rms(left), unexplained, estimate.rounds, applied
    )
    corrected = replace(
        problem.measurement,
        y=problem.y - error if applied else problem.y,
        sigma=(problem.noise.square() + left.square() + unexplained**2).sqrt(),
    )
    return Correction(corrected, error, left, estimate.image, report)


def _uncorrected(problem: _Problem, told: _Count) -> Correction:
    """Of pixels that are not worth refining: nothing is taken off, but the coarse grid's own fit tells whether rays
    that it did not see are off by more than their noise."""
    image = _coarse_fit(problem, told)
    unseen = problem.held_out_error(problem.measurement.operator(image))
    known = _rms(problem.noise[:, problem.held_out])
    unexplained = SEEN_SHARE * _beyond(unseen, known) if known else 0.0
    nothing = torch.zeros_like(problem.y)
    report = TwoGridReport(0.0, 0.0, unseen, unseen, _rms(problem.noise), 0.0, unexplained, 0, False, estimated=False)
    told_of = replace(problem.measurement, sigma=(problem.noise.square() + unexplained**2).sqrt())
    return Correction(told_of, nothing, nothing, image, report)


def _beyond(deviation: float, known: float) -> float:
    """What a deviation has beyond a known one, in power; 0 where it is no larger."""
    return max(deviation**2 - known**2, 0.0) ** 0.5


def _nothing(problem: _Problem) -> Correction:
    """Of slices that nothing was measured of, which have no model error."""
    image = problem.y.new_zeros(problem.fine.domain)
    report = TwoGridReport(0.0, 0.0, 0.0, 0.0, _rms(problem.noise), 0.0, 0.0, 0, False)
    empty = replace(problem.measurement, sigma=problem.noise)
    nothing = torch.zeros_like(problem.y)
    return Correction(empty, nothing, nothing, image, report)


def _best_estimate(problem: _Problem, rounds: int, aperture: Aperture, told: _Count) -> _Estimate:
    """The estimate that predicts best the rays that it did not see."""
    best = _first_estimate(problem, aperture, told)
    error = problem.held_out_error(best.reading)
    for number in range(1, rounds + 1):
        sigma = _fine_deviation(problem, best.thin - problem.project(best.image))
        defect = best.reading - best.thin
        image = _fit(problem, problem.fine, problem.y - defect, sigma, best.image.clone(), _ROUND_ITERATIONS, told)
        found = _Estimate(image, problem.read(image, aperture), problem.fine(image), number)
        now = problem.held_out_error(found.reading)
        if now >= error:
            break
        best, error = found, now
    return best


def _first_estimate(problem: _Problem, aperture: Aperture, told: _Count) -> _Estimate:
    """A fit on the coarse grid, which tells the size of the model error, and from there one on the fine grid, which
    goes no nearer to the data than that allows."""
    image = refined(_coarse_fit(problem, told), problem.grid.shape)
    sigma = _fine_deviation(problem, problem.fine(image) - problem.project(image))
    image = _fit(problem, problem.fine, problem.y, sigma, image, _ITERATIONS, told)
    return _Estimate(image, problem.read(image, aperture), problem.fine(image))


def _coarse_fit(problem: _Problem, told: _Count) -> Tensor:
    """Total variation on the coarse grid, with a deviation that the model error of most scans does not exceed."""
    coarse = problem.measurement.operator
    start = cgls(coarse, bridged(problem.y, ~problem.held_out), _START_ITERATIONS).clamp_min_(0)
    sigma = (problem.noise.square() + (FIRST_DEVIATION * _rms(problem.y)) ** 2).sqrt()
    return _fit(problem, coarse, problem.y, sigma, start, _COARSE_ITERATIONS, told)


def _fine_deviation(problem: _Problem, error: Tensor) -> Tensor:
    """Deviation of the data from the best image of the fine grid: noise, and that grid's own model error.

    Args:
        problem: the data.
        error: (z, views, cells) the model error of the coarse grid, as far as it is known.
    """
    # The same everywhere: where edges make it large, a local one would smooth the very edges that the error is of.
    own = max(FINE_SHARE * _rms(error), LEAST_DEVIATION * _rms(problem.y))
    return (problem.noise.square() + own**2).sqrt()


def _fit(
    problem: _Problem, operator: LinearOperator, y: Tensor, sigma: Tensor, start: Tensor, iterations: int, told: _Count
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


def local_deviation(error: Tensor) -> Tensor:
    """Root mean square of an error (z, views, cells) over the cells around each one."""
    power = avg_pool1d(error.square(), _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
    return power.sqrt()


def left_over(error: Tensor, unseen: float) -> Tensor:
    """Deviation of what is left of a model error once its estimate is taken off.

    Args:
        error: (z, views, cells) the estimate.
        unseen: deviation, without the noise's, of rays that the estimate did not see from its prediction.
    """
    size = _rms(error)
    shape = local_deviation(error).clamp_min(LEAST_LOCAL * size).pow(LOCAL_POWER)
    level = min(max(SEEN_SHARE * unseen, LEAST_LEFT * size), size)
    return shape * (level / (_rms(shape) or 1.0))


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


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0
