"""Zero-filling: the adjoint of the encoding."""

from __future__ import annotations

from recon.methods.method import Method
from recon.options import NoOptions
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.slabs import zero_filled


def run(measurement: Measurement, options: NoOptions, context: RunContext) -> Reconstruction:
    """Inverse FFT of the samples, coils combined by their conjugate sensitivity maps."""
    return Reconstruction(zero_filled(measurement))


METHOD = Method(
    summary="zero-filling: inverse FFT; coils combined by their sensitivity maps",
    citation="x = Aᴴy; coils as in Roemer et al. 1990, Magn Reson Med 16:192, doi 10.1002/mrm.1910160203",
    options=NoOptions,
    run=run,
)
