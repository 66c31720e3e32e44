"""What a generator of volumes offers: the one interface that ``recon generate`` and the tables of generation use.

A generator is a latent diffusion prior, a diffusion model of voxels or wavelets, or a network that makes a volume in
one pass. Images are (Z, X, Y) in the network range [-1, 1]; sizes and voxel sizes are in the order (z, x, y).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import Spacing
from priors.networks.inference import Acceleration
from priors.networks.patient import UNKNOWN, Patient

Start = Literal["average", "noise"]

_MOST_GUIDANCE = 100.0

OnProgress = Callable[[str, int, int], None]
"""Takes the stage in words, such as ``steps``, how much of it is done, and how much there is to do."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


def steps_reporter(seeds: Sequence[int], on_progress: OnProgress, stage: str = "steps") -> Callable[..., None]:
    """A function that samplers call after each step, as :data:`priors.diffusion.samplers.OnStep` or with counts alone.

    Args:
        seeds: the seeds of the volumes that are sampled together; the stage names them.
        on_progress: called with the stage, the steps done and the steps in all.
        stage: what the steps are, in words.
    """
    together = f"seed {', '.join(map(str, seeds))}: {stage}"

    def on_step(done: int, total: int, *_: Tensor) -> None:
        on_progress(together, done, total)

    return on_step


@dataclass(frozen=True)
class Sampling:
    """What is chosen of the sampling; None is what the generator's authors published, or the generator's usual choice.

    Attributes:
        sampler: the name of the sampler, one of the generator's.
        steps: the number of steps of the sampler.
        timesteps: the spacing of the diffusion steps that are visited.
        start: ``average`` starts from the noised average of the class where the generator knows one, ``noise`` from
            noise alone.
        patient: age and sex of the person that the volumes show, as far as they are asked for.
        guidance: the scale of the guidance by age and sex; see :meth:`priors.diffusion.prior.LatentPrior.estimator`.

    Raises:
        ValueError: a guidance outside of 0 to 100, or one without an age or a sex.
    """

    sampler: str | None = None
    steps: int | None = None
    timesteps: Spacing | None = None
    start: Start = "average"
    patient: Patient = UNKNOWN
    guidance: float | None = None

    def __post_init__(self) -> None:
        if self.guidance is None:
            return
        if not 0 <= self.guidance <= _MOST_GUIDANCE:
            raise ValueError(f"`guidance` {self.guidance:g}: must be from 0 to {_MOST_GUIDANCE:g}")
        if not self.patient.known:
            raise ValueError(
                f"`guidance` {self.guidance:g}: say `age` or `sex` with it; it is the scale of their effect"
            )


@dataclass(frozen=True)
class Plan:
    """How a volume will be sampled.

    Attributes:
        sampler: the name of the sampler; ``none`` for a network that makes a volume in one pass.
        steps: the number of steps of the sampler; 1 for such a network.
        times: the steps or times of the diffusion that are visited; empty for such a network.
        start: what the sampling begins from.
        distilled_steps: the number of steps that the networks were distilled for; None for networks that were not.
    """

    sampler: str
    steps: int
    times: tuple[float, ...] = ()
    start: Start = "noise"
    distilled_steps: int | None = None


class Generator(Protocol):
    """A generator of CT or MR volumes.

    Attributes:
        method: the name of the method, as the tables have it, such as ``WDM``.
        name: the name of the folder of its weights; empty if it came from no folder.
        sha256: the hash of each network's tensors, by file name.
        anatomies: the classes that it can be asked for.
        classes: the classes that its weights say they learned, each with the usual voxel size of its volumes; empty
            where the weights do not say.
        samplers: the names of its samplers; the first is its usual one.
        device: the device of its networks.
    """

    @property
    def method(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> Mapping[str, str]: ...
    @property
    def anatomies(self) -> Sequence[Anatomy]: ...
    @property
    def classes(self) -> Mapping[str, VoxelSize]: ...
    @property
    def samplers(self) -> Sequence[str]: ...
    @property
    def device(self) -> torch.device: ...

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Generator:
        """Move the networks and return the generator itself.

        Args:
            device: the device to move to.
            dtype: the precision of a decoder's parameters from now on; None leaves it.
        """
        ...

    def check_class(self, anatomy: Anatomy) -> None:
        """Refuse a class that the networks did not learn.

        Raises:
            ValueError: such a class; the message says which there are.
        """
        ...

    def check_size(self, size: Size) -> None:
        """Refuse a size in voxels that the networks cannot make.

        Raises:
            ValueError: such a size; the message names the nearest that would do.
        """
        ...

    def usual_sizes(self, anatomy: Anatomy) -> Sequence[Size]:
        """The sizes in voxels of volumes that a class was learned at; the first is the default."""
        ...

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        """The voxel size of volumes of a class and a size."""
        ...

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        """How a volume of a class and size will be sampled, with every choice made.

        Raises:
            ValueError: a sampler, a number of steps or a spacing that the generator does not have.
        """
        ...

    def generate(
        self,
        anatomy: Anatomy,
        size: Size,
        seeds: Sequence[int],
        sampling: Sampling,
        *,
        voxel_size: VoxelSize | None = None,
        acceleration: Acceleration | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Iterator[Tensor]:
        """New volumes (Z, X, Y) float32 on the CPU, about [-1, 1], in the order of their seeds, sampled together.

        A seed gives the same volume on every device and in every batch, to rounding.

        Args:
            anatomy: the class of the volumes.
            size: the size (z, x, y) in voxels.
            seeds: one seed for each volume.
            sampling: what is chosen of the sampling.
            voxel_size: the voxel size (z, x, y) in mm, for networks that are told it.
            acceleration: the precision and layout of the networks; None is exact.
            on_progress: called as the work goes on.

        Raises:
            ValueError: a class, a size or a sampling that the generator does not have.
        """
        ...


def chosen_sampler(sampling: Sampling, samplers: Sequence[str]) -> str:
    """The sampler that was asked for, or the usual one.

    Raises:
        ValueError: it is none of the generator's.
    """
    sampler = sampling.sampler or samplers[0]
    if sampler not in samplers:
        raise ValueError(f"`sampler` {sampler}: this generator has {' and '.join(samplers)}")
    return sampler
