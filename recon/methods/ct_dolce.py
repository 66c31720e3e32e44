"""DOLCE for CT."""

from __future__ import annotations

from recon.methods import dolce
from recon.methods.dolce import DOLCEOptions
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DOLCEOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.methods.dolce.run`."""
    return dolce.run(measurement, options, context, "CT")


METHOD = Method(
    summary="DOLCE: a conditional diffusion model of slices, with data consistency",
    citation="Liu et al. 2023, DOLCE, ICCV, arXiv 2211.12340",
    options=DOLCEOptions,
    run=run,
    weights="dolce",
)
