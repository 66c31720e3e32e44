"""The simultaneous algebraic reconstruction technique, a view at a time, with non-negativity."""

from __future__ import annotations

from recon.methods.method import Method
from recon.methods.ordered_passes import reconstruct
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext


class SARTOptions(Options):
    """Options of ``sart``."""

    iterations: int = setting(
        10,
        "largest number of passes over all views; noisy data stop earlier, when the residual reaches the noise",
        ge=1,
    )
    relaxation: float = setting(1.0, "factor of each step", gt=0, le=1.9)


def run(measurement: Measurement, options: SARTOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice."""
    views = measurement.operator.range[-2]
    return reconstruct(measurement, views, options.iterations, options.relaxation, context)


METHOD = Method(
    summary="SART, a view at a time, with non-negativity",
    citation="Andersen & Kak 1984, Ultrason Imaging 6:81, doi 10.1177/016173468400600107",
    options=SARTOptions,
    run=run,
)
