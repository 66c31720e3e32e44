"""MoDL: a denoiser and exact data steps in turn."""

from __future__ import annotations

import torch

from priors.networks.unrolled import MoDL
from recon.acquisition.tasks import MRTask, condition_image
from recon.learned.trained import NetworkOptions, load_trained
from recon.learned.unrolled import modl_image
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.slabs import in_slabs

_SLICES = 4


@torch.no_grad()
def run(measurement: Measurement, options: NetworkOptions, context: RunContext) -> Reconstruction:
    """Unrolled iterations on k-space, a few slices at a time; several coils through their maps."""
    trained = load_trained("modl", options, measurement, "MR")
    assert isinstance(trained.task, MRTask)
    assert isinstance(trained.network, MoDL)
    start = condition_image("MR", trained.task.conditions[0], measurement)
    scale, parts = trained.task.scale(measurement), []
    for part, slab in in_slabs(measurement, _SLICES):
        parts.append(modl_image(trained.network, slab, start[part], scale))
        context.report("slices", part.stop, len(start))
    return Reconstruction(torch.cat(parts), weights={"network": trained.sha256})


METHOD = Method(
    summary="MoDL: unrolled iterations of a learned denoiser and the data term",
    reference="Aggarwal et al. 2019, IEEE Trans Med Imaging 38:394, doi 10.1109/TMI.2018.2865356",
    options=NetworkOptions,
    run=run,
    weights="modl",
)
