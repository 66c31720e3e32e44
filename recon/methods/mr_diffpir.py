"""DiffPIR for MR."""

from __future__ import annotations

from recon.methods import diffpir
from recon.methods.diffpir import DiffPIROptions
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DiffPIROptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.methods.diffpir.run`."""
    return diffpir.run(measurement, options, context, "MR")


METHOD = Method(
    summary="DiffPIR: plug-and-play with a diffusion prior of slices",
    citation="Zhu et al. 2023, Denoising Diffusion Models for Plug-and-Play Image Restoration, arXiv 2305.08995",
    options=DiffPIROptions,
    run=run,
    weights="adm",
)
