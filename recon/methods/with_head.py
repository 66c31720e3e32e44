"""What ``meddiffusion`` does for both modalities: show the head its images, sample, and agree with the data."""

from __future__ import annotations

from recon.acquisition.network_scale import network_scale
from recon.diffusion.controlnet_head import HeadOptions, load_head, sample_with_head
from recon.diffusion.head_reconstruction import reconstruct
from recon.methods.conditions import references, shown
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality


def run_head(measurement: Measurement, options: HeadOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """Sample volumes that a head steers towards the images it is shown, and that agree with the data."""
    head = load_head(options, measurement, modality)
    images = shown(head.task, measurement, context)
    if options.mode == "full":
        others = references(head.task, measurement, images, context)
        image, deviation = reconstruct(head, measurement, images, others, options, context)
        return Reconstruction(image, deviation, weights=head.weights)
    mean, std = sample_with_head(head, measurement, images, options, context)
    scale, device = network_scale(measurement), measurement.y.device
    spread = None if std is None else scale.spread_to_physical(std).to(device)
    return Reconstruction(scale.to_physical(mean).to(device), spread, weights=head.weights)
