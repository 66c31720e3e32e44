"""3D MedDiffusion with a ControlNet head, for MR: the paper's way, which does not consult the measurement again."""

from __future__ import annotations

from recon.methods import meddiffusion_paper
from recon.methods.meddiffusion_paper import PaperOptions
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: PaperOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.methods.meddiffusion_paper.run`."""
    return meddiffusion_paper.run(measurement, options, context, "MR")


METHOD = Method(
    summary="MedDiffusion as in the paper: samples from noise, without data consistency",
    citation="3D MedDiffusion, section III-C",
    options=PaperOptions,
    run=run,
    weights="controlnet",
)
