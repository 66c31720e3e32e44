"""Conjugate gradients for least squares, regularised by stopping early."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from physics.ct.projector import Projector
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.ct_slices import Report, solve_slabs
from recon.solvers.krylov import cgls


@dataclass(frozen=True)
class CGLSOptions:
    """Options of ``cgls``."""

    iterations: int = field(
        default=40, metadata={"help": "most iterations; noisy data stop earlier, when the residual reaches the noise"}
    )
    damping: float = field(default=0.0, metadata={"help": "Tikhonov weight, mm² (0: none)"})

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")
        if self.damping < 0:
            raise ValueError(f"damping must be at least 0, not {self.damping:g}")


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
