"""The reconstruction of Feldkamp, Davis and Kress, for cone beams."""

from __future__ import annotations

from physics.ct.fbp import Window
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext


class FDKOptions(Options):
    """Options of ``fdk``."""

    window: Window = setting("hann", "apodisation of the ramp filter; hann is best with few views")


def run(measurement: Measurement, options: FDKOptions, context: RunContext) -> Reconstruction:
    """Reconstruct the volume."""
    return Reconstruction(measurement.operator.filtered_adjoint(measurement.y, options.window))


METHOD = Method(
    summary="FDK: filtered backprojection of cone beams; of helices approximate",
    citation="Feldkamp, Davis & Kress 1984, J Opt Soc Am A 1:612; helix: Wang et al. 1993, IEEE Trans Med Imaging "
    "12:486",
    options=FDKOptions,
    run=run,
    crossing=True,
)
