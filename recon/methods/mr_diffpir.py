"""DiffPIR for MR."""

from __future__ import annotations

from recon.diffusion.slice_prior_methods import DiffPIROptions, run_diffpir
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DiffPIROptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.diffusion.slice_prior_methods.run_diffpir`."""
    return run_diffpir(measurement, options, context, "MR")


METHOD = Method(
    summary="DiffPIR: plug-and-play with a diffusion prior of slices",
    reference="Zhu et al. 2023, Denoising Diffusion Models for Plug-and-Play Image Restoration, arXiv 2305.08995",
    options=DiffPIROptions,
    run=run,
    weights="adm",
)
