"""Learned primal-dual reconstruction."""

from __future__ import annotations

import torch

from priors.networks.unrolled import LearnedPrimalDual
from recon.learned.trained import NetworkOptions, load_trained
from recon.learned.unrolled_image import primal_dual_image
from recon.methods.conditions import shown
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.slabs import in_slabs

_SLICES = 4


@torch.no_grad()
def run(measurement: Measurement, options: NetworkOptions, context: RunContext) -> Reconstruction:
    """Unrolled iterations on the sinogram, a few slices at a time."""
    trained = load_trained("primal-dual", options, measurement, "CT")
    assert isinstance(trained.network, LearnedPrimalDual)
    images = shown(trained.known_task, measurement, context, options.allow_other)
    start = images[0].mean
    parts = []
    for part, slab in in_slabs(measurement, _SLICES):
        parts.append(primal_dual_image(trained.network, slab, start[part]))
        context.report("slices", part.stop, len(start))
    return Reconstruction(torch.cat(parts).clamp_min(0), weights=trained.weights_with(images), notices=trained.notices)


METHOD = Method(
    summary="learned primal-dual: unrolled iterations with the projector inside",
    citation="Adler & Öktem 2018, IEEE Trans Med Imaging 37:1322, doi 10.1109/TMI.2018.2799231",
    options=NetworkOptions,
    run=run,
    weights="primal-dual",
)
