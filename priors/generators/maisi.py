"""MAISI as a generator: ancestral sampling or DDIM of the first generation, the rectified flow of the second.

The flow is sampled by MONAI's own scheduler, whose first times are shifted to later by the latent's volume. It rounds
the end of each step to a whole number, so that 30 steps together are up to 3 % longer than the way; it is so here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.latent_sampling import USUAL_STEPS
from priors.diffusion.maisi import MaisiPrior, load_maisi
from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import seeded_noise
from priors.generators.generator import OnProgress, Plan, Sampling, chosen_sampler, no_progress, steps_reporter
from priors.generators.latent import LatentGenerator
from priors.networks.inference import Acceleration
from priors.networks.maisi.config import TIMESTEPS, Process
from priors.networks.maisi.library import MISSING
from priors.networks.missing import MissingPackageError

SAMPLERS: dict[Process, tuple[str, ...]] = {"ddpm": ("ddpm", "ddim", "dpm++"), "rflow": ("rflow", "ddim", "dpm++")}
"""The samplers of each generation; the first is the published one."""

PUBLISHED_STEPS = {"ddpm": TIMESTEPS, "rflow": 30}
"""Steps of the published samplers."""


@dataclass(frozen=True)
class MaisiGenerator(LatentGenerator):
    """A MAISI prior that makes volumes: a latent generator with samplers and steps of its own.

    Attributes:
        prior: the networks.
        method: the name of the method.
    """

    prior: MaisiPrior
    method: str = "MAISI"

    @property
    def samplers(self) -> Sequence[str]:
        process: Process = self.prior.unet.config.process
        return SAMPLERS[process]

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        self.prior.patients.check(sampling.patient)
        sampler, steps = self._chosen(sampling)
        if sampler != "rflow":
            return super().plan(anatomy, size, replace(sampling, sampler=sampler, steps=steps))
        if sampling.timesteps is not None:
            raise ValueError(f"`timesteps` {sampling.timesteps}: the times of a rectified flow follow from the size")
        times = flow_scheduler(steps, self.prior.latent_size(size)).timesteps.tolist()
        return Plan(sampler, steps, tuple(times))

    def _chosen(self, sampling: Sampling) -> tuple[str, int]:
        """The sampler and its number of steps, as published where nothing is said."""
        sampler = chosen_sampler(sampling, self.samplers)
        return sampler, sampling.steps or PUBLISHED_STEPS.get(sampler, USUAL_STEPS)

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
        sampler, steps = self._chosen(sampling)
        if sampler != "rflow":
            yield from super().generate(
                anatomy,
                size,
                seeds,
                replace(sampling, sampler=sampler, steps=steps),
                voxel_size=voxel_size,
                acceleration=acceleration,
                on_progress=on_progress,
            )
            return
        self.check_class(anatomy)
        plan, latent = self.plan(anatomy, size, sampling), self.prior.latent_size(size)
        inputs = self.prior.inputs(anatomy, size, len(seeds), voxel_size)
        velocity = self.prior.output(inputs, self.heads, acceleration)
        noise = seeded_noise(seeds)(torch.empty(len(seeds), self.prior.channels, *latent, device=self.device))
        latents = sample_flow(velocity, noise, plan.steps, steps_reporter(seeds, on_progress))
        yield from self._decoded(latents, seeds, on_progress)


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
