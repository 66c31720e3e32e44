"""3D MedDiffusion with a ControlNet head, for MR."""

from __future__ import annotations

from recon.diffusion.controlnet_head import HeadOptions
from recon.methods.method import Method
from recon.methods.with_head import run_head
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: HeadOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.methods.with_head.run_head`."""
    return run_head(measurement, options, context, "MR")


METHOD = Method(
    summary="3D latent diffusion steered by a ControlNet head (`weights`)",
    reference="3D MedDiffusion, section III-C",
    options=HeadOptions,
    run=run,
    weights="controlnet",
)
