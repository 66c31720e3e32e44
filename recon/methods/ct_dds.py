"""DDS for CT."""

from __future__ import annotations

from recon.diffusion.slice_prior_methods import DDSOptions, run_dds
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DDSOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.diffusion.slice_prior_methods.run_dds`."""
    return run_dds(measurement, options, context, "CT")


METHOD = Method(
    summary="DDS: a diffusion prior of slices, conjugate gradients on the data at every step",
    reference="Chung, Lee & Ye 2024, Decomposed Diffusion Sampler, ICLR, arXiv 2303.05754",
    options=DDSOptions,
    run=run,
    weights="adm",
)
