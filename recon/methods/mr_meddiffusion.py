"""3D MedDiffusion with a ControlNet head, for MR."""

from __future__ import annotations

from recon.diffusion.controlnet_head import HeadOptions, load_head, mr_task, sample_with_head
from recon.diffusion.head_reconstruction import reconstruct
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.units import network_to_magnitude


def run(measurement: Measurement, options: HeadOptions, context: RunContext) -> Reconstruction:
    """Sample volumes that the head steers towards the images it is shown, and that agree with the data."""
    head = load_head(options, measurement.protocol.mask, "MR")
    if options.mode == "full":
        result, deviation = reconstruct(head, measurement, options, context)
        return Reconstruction(result, deviation, weights=head.weights)
    mean, std = sample_with_head(head, measurement, options, context)
    scale, device = mr_task(head).scale(measurement), measurement.y.device
    image, spread = network_to_magnitude(mean) * scale, None if std is None else (std / 2 * scale).to(device)
    return Reconstruction(image.to(device), spread, weights=head.weights)


METHOD = Method(
    summary="3D latent diffusion steered by a ControlNet head (`weights`)",
    reference="3D MedDiffusion, section III-C",
    options=HeadOptions,
    run=run,
    weights="controlnet",
)
