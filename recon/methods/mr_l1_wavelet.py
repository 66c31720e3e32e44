"""L1-wavelet compressed sensing: min ½‖Ax − y‖² + λ‖Wx‖₁ by accelerated proximal gradients.

An orthogonal wavelet transform treats an edge differently wherever it lies on its grid, which leaves blocks. So every
iteration shifts the image at random before it shrinks the coefficients, and back: that approaches the mean over all
shifts (cycle spinning, Coifman & Donoho 1995; random shifts, Figueiredo & Nowak 2003). The iterates then keep moving a
little and no objective is minimised exactly.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import field_validator
from torch import Tensor

from physics.operator import LinearOperator
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.held_out import held_out_over_peak
from recon.solvers.krylov import problem_axes
from recon.solvers.least_squares import LeastSquares
from recon.solvers.slabs import Monitor, solve_in_slabs
from recon.solvers.wavelets import WaveletTransform, orthogonal_wavelets
from recon.solvers.weights import relative_to_peak

NOISE_FREE_WEIGHT = 0.0018
"""λ / max|Aᴴy| for noise-free data; chosen on validation slices at 6 and 8 times undersampling, with shifts."""

NOISE_FACTOR = 0.3
"""λ / σ for noisy data of one coil, or of which no samples can be held out: the threshold in units of the noise of a
fully sampled image."""

_OVER_SIGMA = (0.06, 0.144, 0.346, 0.83)
"""λ / σ that are tried on held-out samples, ascending."""

_OVER_PEAK = tuple(10 ** (exponent / 2) for exponent in range(-7, -2))
"""λ / max|Aᴴy| that are tried where the noise is not known, ascending: 3e-4 to 0.03."""

_TRIAL_ITERATIONS = 50

_SHIFTS = 8
"""Shifts are drawn from so many pixels along each axis; more gain nothing."""

_GROUP = 2  # slices transformed at once: more no longer fit a core's cache


class L1WaveletOptions(Options):
    """Options of ``l1-wavelet``."""

    weight: float | None = setting(
        None,
        "weight λ relative to the largest |Aᴴy|; auto: of several coils, the weight whose image foretells held-out "
        f"samples best; of one coil, {NOISE_FACTOR:g} standard deviations of the noise, {NOISE_FREE_WEIGHT:g} or more; "
        f"{NOISE_FREE_WEIGHT:g} for noise-free data",
        ge=0,
    )
    iterations: int = setting(60, "largest number of iterations; radial and spiral scans gain up to about 200", ge=1)
    tolerance: float = setting(
        1e-3, "iterations stop when no slice's relative change is above this; random shifts may keep it above", ge=0
    )
    shifts: bool = setting(
        True, "whether every iteration shifts the image at random against the wavelets' grid, which avoids blocks"
    )
    wavelet: str = setting("db4", "orthogonal wavelet, as PyWavelets names it")

    @field_validator("wavelet")
    @classmethod
    def _is_orthogonal(cls, name: str) -> str:
        if name not in orthogonal_wavelets():
            raise ValueError(f"must be an orthogonal wavelet, one of {', '.join(orthogonal_wavelets())}")
        return name


def run(measurement: Measurement, options: L1WaveletOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice, with one λ for the volume."""
    rows, columns = measurement.operator.domain[-2:]
    transform = WaveletTransform((rows, columns), options.wavelet, measurement.y.device)
    seed = int(torch.randint(2**31, (), generator=context.generator)) if options.shifts else None
    chosen = _chosen_weight(measurement, options, transform, seed)
    weight = relative_to_peak(measurement, chosen, NOISE_FREE_WEIGHT, NOISE_FACTOR).absolute
    solve = partial(
        fista,
        transform=transform,
        weight=weight,
        iterations=options.iterations,
        tolerance=options.tolerance,
        shifts_seed=seed,
    )
    return solve_in_slabs(measurement, context, options.iterations, solve)


def _chosen_weight(
    measurement: Measurement, options: L1WaveletOptions, transform: WaveletTransform, seed: int | None
) -> float | None:
    """λ / max|Aᴴy| as the user sets it, or as held-out samples of several coils tell; None where neither does."""
    if options.weight is not None:
        return options.weight

    def solve(operator: LinearOperator, data: Tensor, monitor: Monitor, weight: float) -> Tensor:
        return fista(operator, data, monitor, transform, weight, _TRIAL_ITERATIONS, options.tolerance, seed)

    return held_out_over_peak(measurement, solve, _OVER_SIGMA, _OVER_PEAK)


def fista(
    operator: LinearOperator,
    data: Tensor,
    monitor: Monitor,
    transform: WaveletTransform,
    weight: float,
    iterations: int,
    tolerance: float,
    shifts_seed: int | None = None,
) -> Tensor:
    """FISTA (Beck & Teboulle 2009) with gradient restart (O'Donoghue & Candès 2015), each slice on its own.

    The gradient at the extrapolated point follows from those at the last two iterates, because it is affine: so
    the residual of the iterate itself is there to be reported, at no further transform.

    Args:
        operator: A of n slices.
        data: b, (n, coils, y, x).
        monitor: called with ‖Ax − b‖.
        transform: W.
        weight: λ, in the image's unit.
        iterations: most iterations.
        tolerance: stops when no slice changes by more in an iteration, relative to its norm.
        shifts_seed: seed of the shifts of the image, the same for all slices; None: no shifts.

    Returns:
        (n, y, x) complex64.
    """
    step, axes = 1 / operator.norm_bound**2, problem_axes(operator)
    limit = tolerance * min(step, 1.0)  # of an ill-conditioned problem steps are small long before its end
    image = point = operator.direct(data)
    term = LeastSquares(operator, data)
    gradient = point_gradient = term.gradient(image)[0]
    momentum: Tensor | float = 1.0
    shifts = _drawn_shifts(shifts_seed, iterations)
    for iteration in range(1, iterations + 1):
        descended = torch.sub(point, point_gradient, alpha=step)
        new = shrink_shifted(descended, transform, step * weight, shifts[iteration - 1])
        new_gradient, residual = term.gradient(new)
        monitor(iteration, residual)
        change = new - image
        if bool((_dots(change, change, axes) <= limit**2 * _dots(new, new, axes)).all()):
            return new
        previous = torch.where(_dots(point - new, change, axes) > 0, 1.0, momentum)  # restart where it points uphill
        momentum = (1 + (1 + 4 * previous**2).sqrt()) / 2
        beta = (previous - 1) / momentum
        point = new + beta * change
        point_gradient = new_gradient + beta * (new_gradient - gradient)
        image, gradient = new, new_gradient
    return image


def _drawn_shifts(seed: int | None, iterations: int) -> list[tuple[int, int]]:
    """A shift along y and x for every iteration, from a seed; none without one."""
    if seed is None:
        return [(0, 0)] * iterations
    drawn = torch.randint(_SHIFTS, (iterations, 2), generator=torch.Generator().manual_seed(seed))
    return [(int(y), int(x)) for y, x in drawn]


def shrink_shifted(image: Tensor, transform: WaveletTransform, threshold: float, shift: tuple[int, int]) -> Tensor:
    """:func:`shrink` of images (n, y, x) that are shifted circularly by pixels along y and x, and shifted back."""
    if shift == (0, 0):
        return shrink(image, transform, threshold)
    back = (-shift[0], -shift[1])
    return shrink(image.roll(shift, (-2, -1)), transform, threshold).roll(back, (-2, -1))


def shrink(image: Tensor, transform: WaveletTransform, threshold: float) -> Tensor:
    """Wᴴ soft(W x): (n, y, x) to the same, a few slices at a time."""
    parts = []
    for group in image.split(_GROUP):
        coefficients = transform.analyse(group)
        parts.append(transform.synthesise([soft_threshold(c, threshold) for c in coefficients]))
    return torch.cat(parts)


def soft_threshold(values: Tensor, threshold: float) -> Tensor:
    """Shrink the modulus of complex values by ``threshold`` (at least 0), keeping their phase."""
    if threshold == 0:
        return values
    modulus = torch.hypot(values.real, values.imag)
    return values * (1 - threshold / modulus.clamp_min(threshold))


def _dots(a: Tensor, b: Tensor, axes: int) -> Tensor:
    """Re⟨a, b⟩ of each problem: (n, y, x) twice to (n, 1, 1), or (1, 1, 1). On real views: complex reductions are
    slow."""
    product = torch.view_as_real(a) * torch.view_as_real(b)
    return product.sum(tuple(range(-axes - 1, 0)), keepdim=True)[..., 0]


METHOD = Method(
    summary="compressed sensing with wavelet sparsity (db4, random shifts), 2D",
    citation="Lustig et al. 2007, Magn Reson Med 58:1182, eq. 3, doi 10.1002/mrm.21391",
    options=L1WaveletOptions,
    run=run,
)
