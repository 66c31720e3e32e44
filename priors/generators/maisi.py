"""MAISI as a generator: ancestral sampling or DDIM of the first generation, the rectified flow of the second.

The flow is sampled by MONAI's own scheduler, whose first times are shifted to later by the latent's volume. It rounds
the end of each step to a whole number, so that 30 steps together are up to 3 % longer than the way; it is so here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.latent_sampling import sample_latents, sampling_steps
from priors.diffusion.maisi import MaisiPrior, load_maisi
from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import seeded_noise
from priors.generators.generator import OnProgress, Plan, Sampling, chosen_sampler, no_progress
from priors.networks.inference import Acceleration
from priors.networks.maisi.config import TIMESTEPS, Process
from priors.networks.maisi.library import MISSING
from priors.networks.missing import MissingPackageError

SAMPLERS: dict[Process, tuple[str, ...]] = {"ddpm": ("ddpm", "ddim", "dpm++"), "rflow": ("rflow", "ddim", "dpm++")}
"""The samplers of each generation; the first is the published one."""

PUBLISHED_STEPS = {"ddpm": TIMESTEPS, "rflow": 30}
"""Steps of the published samplers."""

OTHER_STEPS = 50
"""Steps of a sampler that was not published, where nothing is said."""


@dataclass(frozen=True)
class MaisiGenerator:
    """A MAISI prior that makes volumes.

    Implements :class:`priors.generators.generator.Generator`, where the members without a text of their own are
    described.

    Attributes:
        prior: the networks.
    """

    prior: MaisiPrior

    method = "MAISI"

    @property
    def name(self) -> str:
        return self.prior.name

    @property
    def sha256(self) -> Mapping[str, str]:
        return self.prior.sha256

    @property
    def anatomies(self) -> Sequence[Anatomy]:
        return self.prior.anatomies

    @property
    def classes(self) -> Mapping[str, VoxelSize]:
        return self.prior.classes

    @property
    def samplers(self) -> Sequence[str]:
        process: Process = self.prior.unet.config.process
        return SAMPLERS[process]

    @property
    def device(self) -> torch.device:
        return self.prior.device

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> MaisiGenerator:
        self.prior.to(device, dtype)
        return self

    def check_class(self, anatomy: Anatomy) -> None:
        self.prior.check_class(anatomy)

    def check_size(self, size: Size) -> None:
        self.prior.latent_size(size)

    def usual_sizes(self, anatomy: Anatomy) -> Sequence[Size]:
        return self.prior.usual_sizes(anatomy)

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        return self.prior.usual_spacing(anatomy, size)

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        sampler = chosen_sampler(sampling, self.samplers)
        steps = sampling.steps or PUBLISHED_STEPS.get(sampler, OTHER_STEPS)
        if sampler != "rflow":
            times = sampling_steps(self.prior, sampler, steps, sampling.timesteps).tolist()
            return Plan(sampler, steps, tuple(times))
        if sampling.timesteps is not None:
            raise ValueError(f"`timesteps` {sampling.timesteps}: the times of a rectified flow follow from the size")
        return Plan(sampler, steps, tuple(flow_scheduler(steps, self.prior.latent_size(size)).timesteps.tolist()))

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
        plan, together = self.plan(anatomy, size, sampling), f"seed {', '.join(map(str, seeds))}: steps"

        def on_step(done: int, total: int, *_: Any) -> None:
            on_progress(together, done, total)

        if plan.sampler == "rflow":
            inputs = self.prior.inputs(anatomy, size, len(seeds), voxel_size)
            velocity = self.prior.output(inputs, acceleration=acceleration)
            latent = self.prior.latent_size(size)
            noise = seeded_noise(seeds)(torch.empty(len(seeds), self.prior.channels, *latent, device=self.device))
            latents = sample_flow(velocity, noise, plan.steps, on_step)
        else:
            latents = sample_latents(
                self.prior,
                anatomy.index,
                size,
                steps=plan.steps,
                sampler=plan.sampler,
                seeds=seeds,
                spacing=sampling.timesteps,
                voxel_size=voxel_size,
                acceleration=acceleration,
                on_step=on_step,
            )
        for seed, z in zip(seeds, latents, strict=True):
            yield self.prior.decode(z[None])[0, 0].cpu()
            on_progress(f"seed {seed}: decoding, %", 100, 100)


def flow_scheduler(steps: int, latent: Size) -> Any:
    """MONAI's scheduler of the rectified flow, set to a number of steps for latents of a size.

    Raises:
        ValueError: fewer than one step or more than 1000; or MONAI is not installed.
    """
    try:
        from monai.networks.schedulers.rectified_flow import RFlowScheduler
    except ModuleNotFoundError as error:
        raise MissingPackageError(MISSING) from error

    if not 1 <= steps <= TIMESTEPS:
        raise ValueError(f"`steps` {steps}: 1 to {TIMESTEPS} are possible")
    z, x, y = latent
    scheduler = RFlowScheduler(TIMESTEPS, use_discrete_timesteps=False, use_timestep_transform=True)
    scheduler.set_timesteps(steps, input_img_size_numel=z * x * y)
    return scheduler


@torch.no_grad()
def sample_flow(
    velocity: Callable[[Tensor, Tensor], Tensor],
    z: Tensor,
    steps: int,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Latents from noise along a rectified flow, by the library's scheduler.

    Args:
        velocity: (z, time) -> z_0 - noise, times from 1000 to 0.
        z: (B, C, z, x, y), noise.
        steps: the number of steps.
        on_step: called after each step.

    Returns:
        (B, C, z, x, y).
    """
    depth, x, y = z.shape[2:]
    scheduler = flow_scheduler(steps, (depth, x, y))
    times = scheduler.timesteps.tolist()
    for done, (time, following) in enumerate(zip(times, [*times[1:], 0], strict=True), 1):
        flow = velocity(z, torch.full((len(z),), time, device=z.device))
        z, _ = scheduler.step(flow, time, z, following)
        on_step(done, len(times))
    return z


def load_maisi_generator(folder: Path) -> MaisiGenerator:
    """The generator in a folder, see :func:`priors.diffusion.maisi.load_maisi`."""
    return MaisiGenerator(load_maisi(folder))
