"""Conjugate gradients for least squares, regularised by stopping early."""

from __future__ import annotations

from torch import Tensor

from physics.ct.projector import Projector
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.ct_slices import Report, solve_slabs
from recon.solvers.krylov import cgls


class CGLSOptions(Options):
    """Options of ``cgls``."""

    iterations: int = setting(
        40, "largest number of iterations; noisy data stop earlier, when the residual reaches the noise", ge=1
    )
    damping: float = setting(0.0, "weight of the Tikhonov term; 0: no such term", unit="mm²", ge=0)


def run(measurement: Measurement, options: CGLSOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice."""

    def solve(projector: Projector, data: Tensor, report: Report) -> Tensor:
        return cgls(projector, data, options.iterations, options.damping, report)

    return solve_slabs(measurement, context, options.iterations, solve)


METHOD = Method(
    summary="least squares by conjugate gradients, stopped early",
    reference="Björck 1996, Numerical Methods for Least Squares Problems, algorithm 7.4.1",
    options=CGLSOptions,
    run=run,
)
