"""3D total variation with positivity, weighted by the noise."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext, TracePoint
from recon.solvers.krylov import cgls
from recon.solvers.slabs import in_slabs
from recon.solvers.tv import tv_reconstruct

WEIGHT = 190.0
"""λ per mm of pixel size, in mm: chosen on validation cases at 10⁴ to 10⁶ photons per cell."""

BALANCE = 8e-3
"""Size of the error of x times the pixel size over that of the dual variable. Both, like λ over the pixel size, are
without a unit of length, so that a scan in another unit gives the same image after the same iterations."""

NOISE_FREE_SIGMA = 1.5e-3
"""The standard deviation that noise-free line integrals are given: small enough not to blur, large enough to
converge within the default iterations. Data that state a smaller one are given it too, on average: iterations are
needed in inverse proportion to it, and images that have not converged are worse the better the data are."""

_START_ITERATIONS = 5
_SLAB_SLICES = 32
_WARM_UP = 20  # the duals start at zero, so the first steps are small whatever is left to do


class TVOptions(Options):
    """Options of ``tv``."""

    weight: float | None = setting(
        None,
        f"weight λ of the total variation; auto: {WEIGHT:g} × pixel size. Data count by 1/σ², so λ does not depend on "
        f"the noise; data with less than σ = {NOISE_FREE_SIGMA:g} are given that",
        unit="mm",
        gt=0,
    )
    iterations: int = setting(300, "largest number of iterations", ge=1)
    tolerance: float = setting(2e-4, "iterations stop when the relative change of the image is below this", ge=0)


def run(measurement: Measurement, options: TVOptions, context: RunContext) -> Reconstruction:
    """Reconstruct the whole volume, from a few CGLS iterations as the start."""
    pixel = min(measurement.spacing[1:])
    trace: list[TracePoint] = []

    def monitor(iteration: int, residual: float, change: float) -> bool:
        trace.append(TracePoint(iteration, residual))
        context.report("iterations", iteration, options.iterations, residual)
        return iteration > _WARM_UP and change < options.tolerance

    image = tv_reconstruct(
        measurement.operator,
        measurement.y,
        sigma=_sigma(measurement),
        weight=options.weight or WEIGHT * pixel,
        axis_weights=_axis_weights(measurement.spacing, pixel),
        start=_start(measurement),
        balance=BALANCE / pixel,
        iterations=options.iterations,
        callback=monitor,
    )
    return Reconstruction(image, trace=tuple(trace))


def _sigma(measurement: Measurement) -> Tensor | float:
    """The data's standard deviation, raised as a whole to NOISE_FREE_SIGMA on average where it is smaller."""
    level = measurement.noise_level
    if measurement.sigma is None or level == 0:
        return NOISE_FREE_SIGMA
    return measurement.sigma * max(1.0, NOISE_FREE_SIGMA / level)


def _axis_weights(spacing: tuple[float, float, float], pixel: float) -> tuple[float, float, float]:
    """Differences per mm, in units of the pixel: neighbours farther apart may differ more."""
    z, y, x = (pixel / step for step in spacing)
    return min(z, 1.0), y, x


def _start(measurement: Measurement) -> Tensor:
    slabs = in_slabs(measurement, _SLAB_SLICES)
    return torch.cat([cgls(slab.operator, slab.y, _START_ITERATIONS).clamp_min_(0) for _, slab in slabs])


METHOD = Method(
    summary="3D total variation with positivity, data weighted by their noise",
    citation="Sidky & Pan 2008, Phys Med Biol 53:4777; solver: Pock & Chambolle 2011, doi 10.1109/ICCV.2011.6126441",
    options=TVOptions,
    run=run,
)
