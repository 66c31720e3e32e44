"""fastMRI's U-Net on the direct reconstruction, slice by slice."""

from __future__ import annotations

from recon.learned.trained import NetworkOptions, load_trained, run_slice_network
from recon.methods.conditions import shown
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: NetworkOptions, context: RunContext) -> Reconstruction:
    """Turn the direct image into a better one."""
    trained = load_trained("unet", options, measurement, "CT")
    images = shown(trained.known_task, measurement, context, options.allow_other)
    return run_slice_network(trained, measurement, images, context, multiple=1)


METHOD = Method(
    summary="fastMRI's U-Net on the direct reconstruction",
    citation="Zbontar et al. 2018, fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv 1811.08839",
    options=NetworkOptions,
    run=run,
    weights="unet",
)
