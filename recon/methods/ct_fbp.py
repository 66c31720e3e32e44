"""Filtered backprojection."""

from __future__ import annotations

from physics.ct.fbp import Window
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext


class FBPOptions(Options):
    """Options of ``fbp``."""

    window: Window = setting("hann", "apodisation of the ramp filter; hann is best with few views")


def run(measurement: Measurement, options: FBPOptions, context: RunContext) -> Reconstruction:
    """Reconstruct all slices."""
    return Reconstruction(measurement.operator.filtered_adjoint(measurement.y, options.window))


METHOD = Method(
    summary="filtered backprojection, parallel and fan beam",
    citation="Kak & Slaney 1988, Principles of Computerized Tomographic Imaging, section 3.4.2",
    options=FBPOptions,
    run=run,
    slices=True,
)
