"""DDNM for CT."""

from __future__ import annotations

from recon.methods import ddnm
from recon.methods.ddnm import DDNMOptions
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DDNMOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.methods.ddnm.run`."""
    return ddnm.run(measurement, options, context, "CT")


METHOD = Method(
    summary="DDNM: a diffusion prior of slices in the null space of the operator",
    citation="Wang, Yu & Zhang 2023, Denoising Diffusion Null-Space Model, arXiv 2212.00490",
    options=DDNMOptions,
    run=run,
    weights="adm",
)
