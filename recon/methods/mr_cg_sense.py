"""CG-SENSE: min ½‖Ax − y‖² + ½λ‖x‖² by conjugate gradients on (AᴴA + λ)x = Aᴴy."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from physics.operator import LinearOperator
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.held_out import SolveWith, held_out_weight, middle_slice
from recon.solvers.krylov import cg, problem_axes
from recon.solvers.least_squares import LeastSquares
from recon.solvers.slabs import Monitor, norm, solve_in_slabs, zero_filled

NOISE_FREE_WEIGHT = 1e-3
"""λ for noise-free data with Σ|S|² = 1, and for one coil, whose image only scales with λ."""

WEIGHTS = tuple(10 ** (exponent / 2) for exponent in range(-6, 0))
"""λ that are tried on held-out samples, ascending: 1e-3 to 0.3."""


class CGSenseOptions(Options):
    """Options of ``cg-sense``."""

    weight: float | None = setting(
        None,
        "Tikhonov weight λ, relative to Σ|S|² = 1; auto: the geometric mean of the weight whose image foretells "
        "held-out samples best and the weight whose residual is the noise; "
        f"{NOISE_FREE_WEIGHT:g} for noise-free data or one coil",
        ge=0,
    )
    iterations: int = setting(50, "largest number of iterations", ge=1)
    tolerance: float = setting(
        1e-4, "iterations stop when the relative residual of the normal equations is below this", ge=0
    )


def run(measurement: Measurement, options: CGSenseOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice."""
    weight = default_weight(measurement, options) if options.weight is None else options.weight
    solve = partial(solve_tikhonov, weight=weight, iterations=options.iterations, tolerance=options.tolerance)
    return solve_in_slabs(measurement, context, options.iterations, solve)


def default_weight(measurement: Measurement, options: CGSenseOptions) -> float:
    """The geometric mean of the weight that foretells held-out samples best and the one whose residual is the noise.

    The first errs to small weights, as aliasing is foretold too, the second to large ones, where coil sensitivities are
    not right. Where the noise explains no residual, the first alone is taken; where no samples can be held out, noise
    variance over the image's mean square, which is optimal for a white image (Wiener).
    """
    if measurement.noise_free or measurement.y.shape[1] == 1:
        return NOISE_FREE_WEIGHT

    def solve(operator: LinearOperator, data: Tensor, monitor: Monitor, weight: float) -> Tensor:
        return solve_tikhonov(operator, data, monitor, weight, options.iterations, options.tolerance)

    foretelling = held_out_weight(measurement, solve, WEIGHTS)
    if foretelling is not None:
        explained = discrepancy_weight(middle_slice(measurement), solve)
        return foretelling if explained is None else math.sqrt(foretelling * explained)
    power = float(torch.view_as_real(zero_filled(measurement)).square().sum(-1).mean())
    return max(NOISE_FREE_WEIGHT, measurement.noise_level**2 / power) if power > 0 else NOISE_FREE_WEIGHT


def discrepancy_weight(slab: Measurement, solve: SolveWith) -> float | None:
    """The weight whose squared residual is that of the noise (Morozov 1966), between those that are tried.

    None where the noise is not known, or no weight that is tried leaves less or all leave less.
    """
    if slab.noise_power == 0:
        return None
    problem, before = slab.operator.equivalent_problem(slab.y), None
    for weight in WEIGHTS:
        image = solve(*problem, lambda iteration, residual: False, weight)
        excess = math.log(max(norm(slab.operator(image) - slab.y) ** 2, 1e-300) / slab.noise_power)
        if excess > 0:
            if before is None:
                return None
            return float(weight * (weight / before[0]) ** (-excess / (excess - before[1])))
        before = (weight, excess)
    return None


def solve_tikhonov(
    operator: LinearOperator, data: Tensor, monitor: Monitor, weight: float, iterations: int, tolerance: float
) -> Tensor:
    """The minimiser (z, y, x); CG steps of their own for every slice, so that slices do not interact."""
    gram, term = operator.gram, LeastSquares(operator, data)

    def normal(x: Tensor) -> Tensor:
        return torch.add(gram(x), x, alpha=weight)

    def show(iteration: int, x: Tensor, left: Tensor) -> None:
        monitor(iteration, term.residual(x, -left - weight * x))  # left is Aᴴb − AᴴAx − λx

    start = torch.zeros_like(term.rhs)
    return cg(normal, term.rhs, start, iterations, problem_axes(operator), tolerance, show)


METHOD = Method(
    summary="CG-SENSE: least squares over all coils with Tikhonov damping",
    citation="Pruessmann et al. 2001, Magn Reson Med 46:638, doi 10.1002/mrm.1241",
    options=CGSenseOptions,
    run=run,
)
