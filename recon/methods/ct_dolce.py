"""DOLCE for CT."""

from __future__ import annotations

from recon.measurement import Measurement, Reconstruction, RunContext
from recon.methods import Method
from recon.prior_methods import DOLCEOptions, run_dolce


def run(measurement: Measurement, options: DOLCEOptions, context: RunContext) -> Reconstruction:
    """See :func:`recon.prior_methods.run_dolce`."""
    return run_dolce(measurement, options, context, "CT")


METHOD = Method(
    summary="DOLCE: slices sampled under the direct image, drawn towards the data",
    reference="Liu et al. 2023, DOLCE, ICCV, arXiv 2211.12340",
    options=DOLCEOptions,
    run=run,
    weights="dolce",
)
