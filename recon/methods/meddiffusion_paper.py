"""``meddiffusion-paper``: the paper's way to reconstruct with a ControlNet head (3D MedDiffusion, section III-C).

Show the head images of the scan, sample from noise, decode. The measurement is not consulted again;
:mod:`recon.methods.meddiffusion` does.
"""

from __future__ import annotations

import torch

from recon.acquisition.network_scale import network_scale
from recon.diffusion.controlnet_head import Head, load_head
from recon.diffusion.head_sampling import Sampling, class_told, sample, steer
from recon.learned.provenance import CONDITION, weights_shown
from recon.methods.conditions import shown
from recon.methods.head_options import HeadOptions
from recon.methods.head_progress import counted, of_sample, voxel_size
from recon.methods.show import in_network_range
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality


class PaperOptions(HeadOptions):
    """Options of ``meddiffusion-paper``."""


def run(measurement: Measurement, options: PaperOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """The mean of samples that a head steers towards the images it is shown."""
    head = load_head(options.weights, options.prior, measurement, modality, allow_other=options.allow_other)
    conditions = shown(head.task, measurement, context, options.allow_other)
    weights = weights_shown(CONDITION, head.task.conditions, conditions)
    samples = _samples(head, in_network_range(measurement, conditions), measurement, options, context)
    scale, device = network_scale(measurement), measurement.y.device
    spread = scale.spread_to_physical(samples.std(0)).to(device) if len(samples) > 1 else None
    return Reconstruction(
        scale.to_physical(samples.mean(0)).to(device),
        spread,
        weights=head.weights | weights,
        notices=head.notices(weights),
    )


@torch.no_grad()
def _samples(
    head: Head, images: torch.Tensor, measurement: Measurement, options: PaperOptions, context: RunContext
) -> torch.Tensor:
    """(n, Z, X, Y) decoded samples in [-1, 1], on the CPU."""
    prior = head.prior.to(context.device)
    steered = steer(
        prior,
        head.network.to(context.device),
        images,
        class_told(prior, options.anatomy, head.task.modality),
        controlnet_scale=options.controlnet_scale,
        voxel_size=voxel_size(measurement),
        allow_other_base=options.allow_other,
    )
    sampling, found = Sampling(options.steps, options.sampler), []
    for number in range(options.samples):
        part = of_sample(context, number, options.samples)
        seed = int(torch.randint(2**31, (), generator=context.generator))
        found.append(sample(steered, sampling, seed, on_step=counted(part, "sampling")).clamp(-1, 1))
    return torch.stack(found)
