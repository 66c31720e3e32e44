"""Total variation of the complex image: min ½‖Ax − y‖² + λ Σ|∇x| by a primal-dual method."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from physics.operator import LinearOperator
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.held_out import held_out_over_peak
from recon.solvers.slabs import Monitor, Solve, norm, solve_in_slabs
from recon.solvers.weights import Weight, relative_to_peak

NOISE_FREE_WEIGHT = 0.001
"""λ / max|Aᴴy| for noise-free data; chosen on validation slices at 8 times undersampling."""

NOISE_FACTOR = 0.2
"""λ / σ for noisy data of one coil, or of which no samples can be held out; chosen on validation slices of continuous
scans."""

_OVER_SIGMA = (0.025, 0.06, 0.144, 0.346, 0.83)
"""λ / σ that are tried on held-out samples, ascending."""

_OVER_PEAK = tuple(10 ** (exponent / 2) for exponent in range(-7, -2))
"""λ / max|Aᴴy| that are tried where the noise is not known, ascending: 3e-4 to 0.03."""

_TRIAL_ITERATIONS = 50

_STEP_RATIO = 0.01
# The primal step in units of image over dual variable, which are of the size of max|Aᴴy| and of λ.


class TVOptions(Options):
    """Options of ``tv``."""

    weight: float | None = setting(
        None,
        "weight λ relative to the largest |Aᴴy|; auto: of several coils, the weight whose image foretells held-out "
        f"samples best; of one coil, {NOISE_FACTOR:g} standard deviations of the noise, {NOISE_FREE_WEIGHT:g} or more; "
        f"{NOISE_FREE_WEIGHT:g} for noise-free data",
        gt=0,
    )
    iterations: int = setting(300, "largest number of iterations", ge=1)
    tolerance: float = setting(3e-4, "iterations stop when the relative change of the image is below this", ge=0)
    dimensions: Literal[2, 3] = setting(
        2,
        "axes of the total variation; 2: each slice by itself; 3: also across slices, for isotropic voxels",
    )


def run(measurement: Measurement, options: TVOptions, context: RunContext) -> Reconstruction:
    """Reconstruct in batches of slices (2D) or all slices at once (3D), with one λ for the volume."""
    weight = relative_to_peak(measurement, _chosen_weight(measurement, options), NOISE_FREE_WEIGHT, NOISE_FACTOR)
    if weight.absolute == 0:  # no signal at all
        return Reconstruction(measurement.y.new_zeros(measurement.operator.domain))
    solve = _solver(weight, options, options.iterations)
    slices = measurement.operator.domain[0] if options.dimensions == 3 else None
    return solve_in_slabs(measurement, context, options.iterations, solve, slices)


def _chosen_weight(measurement: Measurement, options: TVOptions) -> float | None:
    """λ / max|Aᴴy| as the user sets it, or as held-out samples of several coils tell; None where neither does."""
    if options.weight is not None:
        return options.weight
    peak = relative_to_peak(measurement, 1.0, NOISE_FREE_WEIGHT, NOISE_FACTOR).absolute

    def solve(operator: LinearOperator, data: Tensor, monitor: Monitor, weight: float) -> Tensor:
        return _solver(Weight(weight / peak, weight), options, _TRIAL_ITERATIONS)(operator, data, monitor)

    return held_out_over_peak(measurement, solve, _OVER_SIGMA, _OVER_PEAK)


def _solver(weight: Weight, options: TVOptions, iterations: int) -> Solve:
    return partial(
        primal_dual,
        weight=weight.absolute,
        primal_step=_STEP_RATIO / weight.relative,
        dimensions=options.dimensions,
        iterations=iterations,
        tolerance=options.tolerance,
    )


def primal_dual(
    operator: LinearOperator,
    data: Tensor,
    monitor: Monitor,
    weight: float,
    primal_step: float,
    dimensions: int,
    iterations: int,
    tolerance: float,
) -> Tensor:
    """PDHG (Chambolle & Pock 2011, algorithm 1) with the data and the gradient as two dual blocks, each with a
    step of its own so that τ(σ₁‖A‖² + σ₂‖∇‖²) = 1.

    Args:
        operator: A of n slices.
        data: b, (n, coils, y, x).
        monitor: called with ‖Ax̄ − b‖ at the extrapolated image x̄ of the iteration.
        weight: λ, in the image's unit.
        primal_step: τ.
        dimensions: 2 or 3, the axes of ∇.
        iterations: most iterations.
        tolerance: stops when the images change by less in an iteration, relative to their norm.

    Returns:
        (n, y, x) complex64.
    """
    image = operator.direct(data)
    data_step = 0.5 / (operator.norm_bound**2 * primal_step)
    gradient_step = 0.5 / (4 * dimensions * primal_step)
    extrapolated = image
    data_dual = torch.zeros_like(data)
    gradient_dual = gradient(torch.zeros_like(image), dimensions)
    for iteration in range(1, iterations + 1):
        residual = operator(extrapolated) - data
        monitor(iteration, norm(residual))
        data_dual = torch.add(data_dual, residual, alpha=data_step) / (1 + data_step)
        gradient_dual = project(gradient_dual.add_(gradient(extrapolated, dimensions), alpha=gradient_step), weight)
        descent = operator.adjoint(data_dual) + gradient_adjoint(gradient_dual)
        image = torch.sub(image, descent, alpha=primal_step)
        extrapolated = torch.sub(image, descent, alpha=primal_step)
        if primal_step * norm(descent) <= tolerance * norm(image):
            break
    return image


def gradient(image: Tensor, dimensions: int) -> Tensor:
    """Forward differences along the last 2 or 3 axes, 0 at the far edge: (z, y, x) to (dimensions, z, y, x)."""
    differences = image.new_zeros((dimensions, *image.shape))
    for difference, axis in zip(differences, range(-dimensions, 0), strict=True):
        inner = image.shape[axis] - 1
        torch.sub(image.narrow(axis, 1, inner), image.narrow(axis, 0, inner), out=difference.narrow(axis, 0, inner))
    return differences


def gradient_adjoint(field_: Tensor) -> Tensor:
    """Adjoint of :func:`gradient`, minus the divergence: (dimensions, z, y, x) to (z, y, x)."""
    dimensions = field_.shape[0]
    image = field_.new_zeros(field_.shape[1:])
    for component, axis in zip(field_, range(-dimensions, 0), strict=True):
        inner = image.shape[axis] - 1
        image.narrow(axis, 1, inner).add_(component.narrow(axis, 0, inner))
        image.narrow(axis, 0, inner).sub_(component.narrow(axis, 0, inner))
    return image


def project(dual: Tensor, radius: float) -> Tensor:
    """Each voxel's complex vector (dimensions, z, y, x) onto the ball of ``radius``: isotropic TV; in place."""
    length = torch.view_as_real(dual).square().sum((0, -1)).sqrt_()
    return dual.mul_(radius / length.clamp_min_(radius))


METHOD = Method(
    summary="isotropic total variation of the complex image, 2D or 3D",
    citation="Block et al. 2007, Magn Reson Med 57:1086; solver: Chambolle & Pock 2011, doi 10.1007/s10851-010-0251-1",
    options=TVOptions,
    run=run,
)
