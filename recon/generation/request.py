"""What is to be generated, and whether a prior can do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.latent_sampling import sampling_steps
from priors.diffusion.prior import LatentPrior, NoisedStart, VoxelSize
from priors.diffusion.samplers import Spacing
from recon.errors import InputError

Start = Literal["average", "noise"]


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        anatomy: the class of the volumes.
        size: the size (z, x, y) in voxels.
        spacing: the voxel size (z, x, y) in mm; a label alone for priors whose networks are told no voxel size.
        sampler: ``ddim``, ``ddpm`` or ``dpm++``.
        steps: the number of steps of the sampler.
        timesteps: the spacing of the diffusion steps that are visited; None is the sampler's usual choice.
        start: ``average`` starts from the noised average of the class where the prior knows one, ``noise`` from noise.
        seeds: one seed for each volume.
        batch: the number of volumes that are sampled together; 1 gives a seed the same file whatever the other seeds.
    """

    anatomy: Anatomy
    size: Size
    spacing: VoxelSize
    sampler: str = "ddim"
    steps: int = 50
    timesteps: Spacing | None = None
    seeds: tuple[int, ...] = (0,)
    batch: int = 1
    start: Start = "average"

    def begins(self, prior: LatentPrior) -> NoisedStart | None:
        """The latent that the sampler begins from; None is noise alone."""
        return prior.average_start(self.anatomy, self.size) if self.start == "average" else None

    def times(self, prior: LatentPrior) -> list[int]:
        """The steps of the diffusion that the sampler visits.

        Raises:
            ValueError: more of them than there are.
        """
        first = self.begins(prior)
        return sampling_steps(prior, self.sampler, self.steps, self.timesteps, first.step if first else None).tolist()


def check_request(prior: LatentPrior, request: Request) -> None:
    """Refuse, before any work, what a prior cannot do.

    Raises:
        InputError: a class, size or number of steps that the prior does not have; the message names the option.
    """
    try:
        prior.check_class(request.anatomy)
    except ValueError as error:
        raise InputError(f"`class` {request.anatomy.name}: {error}; choose another class or another `prior`") from error
    try:
        prior.latent_size(request.size)
    except ValueError as error:
        raise InputError(f"`size`: {error}") from error
    try:
        request.times(prior)
    except ValueError as error:
        raise InputError(f"`steps`: {error}") from error
