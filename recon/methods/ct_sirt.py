"""The simultaneous iterative reconstruction technique with non-negativity."""

from __future__ import annotations

from torch import Tensor

from physics.operator import LinearOperator
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.krylov import sirt
from recon.solvers.slabs import Monitor, norm, solve_in_slabs


class SIRTOptions(Options):
    """Options of ``sirt``."""

    iterations: int = setting(
        200, "largest number of iterations; noisy data stop earlier, when the residual reaches the noise", ge=1
    )


def run(measurement: Measurement, options: SIRTOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice."""

    def solve(operator: LinearOperator, data: Tensor, monitor: Monitor) -> Tensor:
        return sirt(operator, data, options.iterations, lambda k, residual: monitor(k, norm(residual)))

    return solve_in_slabs(measurement, context, options.iterations, solve)


METHOD = Method(
    summary="SIRT with non-negativity",
    citation="Gregor & Benson 2008, IEEE Trans Med Imaging 27:918, doi 10.1109/TMI.2008.923696",
    options=SIRTOptions,
    run=run,
)
