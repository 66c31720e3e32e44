"""FBPConvNet on the direct reconstruction, slice by slice."""

from __future__ import annotations

from recon.learned.trained import NetworkOptions, load_trained, run_slice_network
from recon.methods.conditions import shown
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext


def run(measurement: Measurement, options: NetworkOptions, context: RunContext) -> Reconstruction:
    """Remove what the network takes for artefacts."""
    trained = load_trained("fbpconv", options, measurement, "CT")
    images = shown(trained.known_task, measurement, context, options.allow_other)
    return run_slice_network(trained, measurement, images, context, trained.network.config.size_multiple)  # type: ignore[union-attr,arg-type]


METHOD = Method(
    summary="FBPConvNet: a residual U-Net on the direct reconstruction",
    citation="Jin et al. 2017, IEEE Trans Image Process 26:4509, doi 10.1109/TIP.2017.2713099",
    options=NetworkOptions,
    run=run,
    weights="fbpconv",
)
