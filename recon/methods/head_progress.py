"""Progress of the methods with a head, and the voxel size that their priors are told."""

from __future__ import annotations

from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import OnStep
from recon.scan.measurement import Measurement, RunContext


def of_sample(context: RunContext, number: int, samples: int) -> RunContext:
    """The run of one of several samples, whose stages say which; of a single one as it is."""
    return context if samples == 1 else context.under(f"sample {number + 1} of {samples}")


def counted(context: RunContext, stage: str) -> OnStep:
    """The progress of a sampler's steps under a stage."""
    return lambda done, total, z, x0: context.report(stage, done, total)


def voxel_size(measurement: Measurement) -> VoxelSize:
    """The voxel size of a scan in the order (z, x, y) of networks, mm."""
    z, y, x = measurement.spacing
    return z, x, y
