"""DDS for CT."""

from __future__ import annotations

from recon.methods import dds
from recon.methods.dds import DDSOptions
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DDSOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.methods.dds.run`."""
    return dds.run(measurement, options, context, "CT")


METHOD = Method(
    summary="DDS: a diffusion prior of slices, with data consistency at every step",
    citation="Chung, Lee & Ye 2024, Decomposed Diffusion Sampler, ICLR, arXiv 2303.05754",
    options=DDSOptions,
    run=run,
    weights="adm",
)
