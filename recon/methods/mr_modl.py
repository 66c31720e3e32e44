"""MoDL: a denoiser and exact data-consistency steps in turn."""

from __future__ import annotations

import torch

from priors.networks.unrolled import MoDL
from recon.acquisition.network_scale import mr_scale
from recon.learned.trained import NetworkOptions, load_trained
from recon.learned.unrolled_image import modl_image
from recon.methods.conditions import shown
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.slabs import in_slabs

_SLICES = 4


@torch.no_grad()
def run(measurement: Measurement, options: NetworkOptions, context: RunContext) -> Reconstruction:
    """Unrolled iterations on k-space, a few slices at a time; several coils through their sensitivity maps."""
    trained = load_trained("modl", options, measurement, "MR")
    assert isinstance(trained.network, MoDL)
    images = shown(trained.known_task, measurement, context, options.allow_other)
    start = images[0].mean
    scale, parts = mr_scale(measurement).magnitude, []
    for part, slab in in_slabs(measurement, _SLICES):
        parts.append(modl_image(trained.network, slab, start[part], scale))
        context.report("slices", part.stop, len(start))
    return Reconstruction(torch.cat(parts), weights=trained.weights_with(images), notices=trained.notices)


METHOD = Method(
    summary="MoDL: unrolled iterations of a learned denoiser and exact data consistency",
    citation="Aggarwal et al. 2019, IEEE Trans Med Imaging 38:394, doi 10.1109/TMI.2018.2865356",
    options=NetworkOptions,
    run=run,
    weights="modl",
)
