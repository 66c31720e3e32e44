"""What is to be generated, and whether a prior can do it."""

from __future__ import annotations

from dataclasses import dataclass, field

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from priors.generators.generator import Generator, Plan, Sampling
from recon.errors import InputError
from recon.generation.mask import MaskCondition
from recon.generation.output_grid import OutputGrid


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        anatomy: the class of the volumes.
        size: the size (z, x, y) in voxels.
        spacing: the voxel size (z, x, y) in mm; a label alone for generators whose networks are told no voxel size.
        sampling: what is chosen of the sampling.
        seeds: one seed for each volume.
        batch: the number of volumes that are sampled together; 1 gives a seed the same file whatever the other seeds.
        mask: the segmentation that the volumes are generated for, on whose grid they are written; None without one.
        output: the grid of another voxel size that the volumes are decoded on; None for that of ``size`` and
            ``spacing``.
    """

    anatomy: Anatomy
    size: Size
    spacing: VoxelSize
    sampling: Sampling = field(default_factory=Sampling)
    seeds: tuple[int, ...] = (0,)
    batch: int = 1
    mask: MaskCondition | None = None
    output: OutputGrid | None = None


def check_request(generator: Generator, request: Request) -> Plan:
    """How the volumes will be sampled; what a generator cannot do is refused before any work.

    Raises:
        InputError: a class, size, sampler or number of steps that the generator does not have; the message names the
            option.
    """
    try:
        generator.check_class(request.anatomy)
    except ValueError as error:
        raise InputError(f"`class` {request.anatomy.name}: {error}; choose another class or another `prior`") from error
    try:
        generator.check_size(request.size)
    except ValueError as error:
        raise InputError(f"`size`: {error}") from error
    try:
        return generator.plan(request.anatomy, request.size, request.sampling)
    except ValueError as error:
        raise InputError(str(error) if str(error).startswith("`") else f"`steps`: {error}") from error
