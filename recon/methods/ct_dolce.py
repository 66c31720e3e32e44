"""DOLCE for CT."""

from __future__ import annotations

from recon.diffusion.slice_prior import load_slice_prior
from recon.diffusion.slice_prior_methods import DOLCEOptions, run_dolce
from recon.methods.conditions import shown
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: DOLCEOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.diffusion.slice_prior_methods.run_dolce`."""
    prior = load_slice_prior("dolce", options, measurement, "CT")
    images = shown(prior.trained.known_task, measurement, context)
    return run_dolce(prior, measurement, images, options, context, "CT")


METHOD = Method(
    summary="DOLCE: slices sampled under the direct image, drawn towards the data",
    reference="Liu et al. 2023, DOLCE, ICCV, arXiv 2211.12340",
    options=DOLCEOptions,
    run=run,
    weights="dolce",
)
