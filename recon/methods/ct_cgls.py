"""Conjugate gradients for least squares, regularised by stopping early."""

from __future__ import annotations

from torch import Tensor

from physics.operator import LinearOperator
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.krylov import cgls
from recon.solvers.slabs import Monitor, norm, solve_in_slabs


class CGLSOptions(Options):
    """Options of ``cgls``."""

    iterations: int = setting(
        40, "largest number of iterations; noisy data stop earlier, when the residual reaches the noise", ge=1
    )
    damping: float = setting(0.0, "weight of the Tikhonov term; 0: no such term", unit="mm²", ge=0)


def run(measurement: Measurement, options: CGLSOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice."""

    def solve(operator: LinearOperator, data: Tensor, monitor: Monitor) -> Tensor:
        return cgls(operator, data, options.iterations, options.damping, lambda k, rest: monitor(k, norm(rest)))

    return solve_in_slabs(measurement, context, options.iterations, solve)


METHOD = Method(
    summary="least squares by conjugate gradients, stopped early",
    citation="Björck 1996, Numerical Methods for Least Squares Problems, algorithm 7.4.1",
    options=CGLSOptions,
    run=run,
)
