"""DiffPIR for CT."""

from __future__ import annotations

from recon.measurement import Measurement, Reconstruction, RunContext
from recon.methods import Method
from recon.prior_methods import DiffPIROptions, run_diffpir


def run(measurement: Measurement, options: DiffPIROptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.prior_methods.run_diffpir`."""
    return run_diffpir(measurement, options, context, "CT")


METHOD = Method(
    summary="DiffPIR: plug-and-play with a diffusion prior of slices",
    reference="Zhu et al. 2023, Denoising Diffusion Models for Plug-and-Play Image Restoration, arXiv 2305.08995",
    options=DiffPIROptions,
    run=run,
    weights="adm",
)
