"""DOLCE for CT."""

from __future__ import annotations

from recon.diffusion.slice_prior_methods import DOLCEOptions, run_dolce
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DOLCEOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.diffusion.slice_prior_methods.run_dolce`."""
    return run_dolce(measurement, options, context, "CT")


METHOD = Method(
    summary="DOLCE: slices sampled under the direct image, drawn towards the data",
    reference="Liu et al. 2023, DOLCE, ICCV, arXiv 2211.12340",
    options=DOLCEOptions,
    run=run,
    weights="dolce",
)
