"""The end-to-end variational network: cascades in k-space with learned coil sensitivities."""

from __future__ import annotations

import torch

from priors.networks.varnet import VarNet
from recon.acquisition.network_scale import mr_scale
from recon.learned.trained import NetworkOptions, load_trained
from recon.learned.varnet_image import cartesian_mask, varnet_image
from recon.methods.method import Method
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.slabs import in_slabs

_SLICES = 1
"""Slices at a time: every cascade holds the k-space of all coils."""


@torch.no_grad()
def run(measurement: Measurement, options: NetworkOptions, context: RunContext) -> Reconstruction:
    """Cascades on k-space, slice by slice; the network estimates coil sensitivities of its own."""
    cartesian_mask(measurement)
    trained = load_trained("varnet", options, measurement, "MR")
    assert isinstance(trained.network, VarNet)
    scale, parts, total = mr_scale(measurement).magnitude, [], len(measurement.y)
    for part, slab in in_slabs(measurement, _SLICES):
        parts.append(varnet_image(trained.network, slab, scale))
        context.report("slices", part.stop, total)
    return Reconstruction(torch.cat(parts), weights={"network": trained.sha256}, notices=trained.notices)


METHOD = Method(
    summary="end-to-end VarNet: learned cascades in k-space, learned coil sensitivities",
    citation="Sriram et al. 2020, MICCAI, doi 10.1007/978-3-030-59713-9_7",
    options=NetworkOptions,
    run=run,
    weights="varnet",
)
