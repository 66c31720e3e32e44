"""Learned primal-dual reconstruction."""

from __future__ import annotations

import torch

from priors.unrolled import LearnedPrimalDual
from recon.ct_slices import projector_of
from recon.measurement import Measurement, Reconstruction, RunContext
from recon.methods import Method
from recon.slabs import in_slabs
from recon.solvers import power_iteration
from recon.trained import NetworkOptions, load_trained
from recon.training.tasks import condition_image
from recon.unrolled import primal_dual_image

_SLICES = 4


@torch.no_grad()
def run(measurement: Measurement, options: NetworkOptions, context: RunContext) -> Reconstruction:
    """Unrolled iterations on the sinogram, a few slices at a time."""
    trained = load_trained("primal-dual", options, measurement, "CT")
    assert trained.task is not None
    assert isinstance(trained.network, LearnedPrimalDual)
    start = condition_image("CT", trained.task.conditions[0], measurement)
    norm, parts = power_iteration(projector_of(measurement)), []
    for part, slab in in_slabs(measurement, _SLICES):
        parts.append(primal_dual_image(trained.network, slab, start[part], norm))
        context.progress(part.stop, len(start), 0.0)
    return Reconstruction(torch.cat(parts).clamp_min(0), weights={"network": trained.sha256})


METHOD = Method(
    summary="learned primal-dual: unrolled iterations with the projector inside",
    reference="Adler & Öktem 2018, IEEE Trans Med Imaging 37:1322, doi 10.1109/TMI.2018.2799231",
    options=NetworkOptions,
    run=run,
    weights="primal-dual",
)
