"""SIRT on ordered subsets of the views, with non-negativity."""

from __future__ import annotations

from recon.methods.method import Method
from recon.methods.ordered_passes import reconstruct
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext


class OSSIRTOptions(Options):
    """Options of ``os-sirt``."""

    iterations: int = setting(
        20,
        "largest number of passes over all views; noisy data stop earlier, when the residual reaches the noise",
        ge=1,
    )
    subsets: int = setting(10, "number of subsets of the views; a pass counts like as many iterations of SIRT", ge=1)
    relaxation: float = setting(1.0, "factor of each step", gt=0, le=1.9)


def run(measurement: Measurement, options: OSSIRTOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice."""
    return reconstruct(measurement, options.subsets, options.iterations, options.relaxation, context)


METHOD = Method(
    summary="SIRT on ordered subsets of the views, with non-negativity",
    citation="Hudson & Larkin 1994, IEEE Trans Med Imaging 13:601, doi 10.1109/42.363108",
    options=OSSIRTOptions,
    run=run,
)
