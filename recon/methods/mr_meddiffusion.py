"""3D MedDiffusion with a ControlNet head, for MR: the suite's way, which consults the measurement again."""

from __future__ import annotations

from recon.methods import meddiffusion
from recon.methods.meddiffusion import MedDiffusionOptions
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: MedDiffusionOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.methods.meddiffusion.run`."""
    return meddiffusion.run(measurement, options, context, "MR")


METHOD = Method(
    summary="3D latent diffusion, ControlNet head; refiner and data give its gain so far",
    citation="3D MedDiffusion, section III-C",
    options=MedDiffusionOptions,
    run=run,
    weights="controlnet",
    moved=meddiffusion.MOVED,
)
