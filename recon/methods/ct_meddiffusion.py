"""3D MedDiffusion with a ControlNet head, for CT."""

from __future__ import annotations

from recon.diffusion.controlnet_head import HeadOptions, load_head, sample_with_head
from recon.diffusion.head_reconstruction import reconstruct
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.units import hu_to_attenuation, network_spread_to_attenuation, network_to_hu


def run(measurement: Measurement, options: HeadOptions, context: RunContext) -> Reconstruction:
    """Sample volumes that the head steers towards the images it is shown, and that agree with the data."""
    head = load_head(options, measurement.protocol.geometry, "CT")
    if options.mode == "full":
        image, deviation = reconstruct(head, measurement, options, context)
        return Reconstruction(image, deviation, weights=head.weights)
    mean, std = sample_with_head(head, measurement, options, context)
    attenuation, device = hu_to_attenuation(network_to_hu(mean)), measurement.y.device
    spread = None if std is None else network_spread_to_attenuation(std).to(device)
    return Reconstruction(attenuation.to(device), spread, weights=head.weights)


METHOD = Method(
    summary="3D latent diffusion steered by a ControlNet head (`weights`)",
    reference="3D MedDiffusion, section III-C",
    options=HeadOptions,
    run=run,
    weights="controlnet",
)
