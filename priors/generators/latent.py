"""Every latent diffusion prior (:class:`priors.diffusion.prior.LatentPrior`) as a generator of volumes.

Latents are drawn, then decoded (3D MedDiffusion, section III-B).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.latent_sampling import sample_latents, sampling_steps, usual_steps
from priors.diffusion.prior import LatentPrior, NoisedStart, VoxelSize
from priors.diffusion.samplers import SAMPLERS
from priors.generators.generator import OnProgress, Plan, Sampling, chosen_sampler, no_progress, steps_reporter
from priors.networks.inference import Acceleration


@dataclass(frozen=True)
class LatentGenerator:
    """A latent diffusion prior that makes volumes.

    Implements :class:`priors.generators.generator.Generator`, where the members without a text of their own are
    described.

    Attributes:
        prior: the latent diffusion prior.
        method: the name of the method.
        heads: the heads that steer the volumes, as :meth:`priors.diffusion.prior.LatentPrior.attach` gives them.
        decoding: the function from a latent (1, C, z, x, y) to an image (Z, X, Y) of any grid, which is told whom to
            tell its progress, as shares from 0 to 1; None decodes as the prior does.
    """

    prior: LatentPrior
    method: str = "3D MedDiffusion"
    heads: Sequence[Any] = ()
    decoding: Callable[[Tensor, Callable[[float], None]], Tensor] | None = None

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
        return tuple(SAMPLERS)

    @property
    def device(self) -> torch.device:
        return self.prior.device

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> LatentGenerator:
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
        sampler, first = chosen_sampler(sampling, self.samplers), self._start(anatomy, size, sampling)
        self.prior.patients.check(sampling.patient)
        steps = sampling.steps or usual_steps(self.prior)
        times = sampling_steps(self.prior, sampler, steps, sampling.timesteps, first.step if first else None)
        distilled = self.prior.distilled.steps if self.prior.distilled else None
        return Plan(sampler, steps, tuple(times.tolist()), "average" if first else "noise", distilled)

    def _start(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> NoisedStart | None:
        """The latent that the sampler begins from; None is noise alone.

        Raises:
            ValueError: noise alone, of a prior that was distilled from the average on.
        """
        average = self.prior.average_start(anatomy, size)
        if sampling.start == "average":
            return average
        if average is not None and self.prior.distilled is not None:
            raise ValueError("`start` noise: this prior was distilled from the class average on; leave `start` out")
        return None

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
        self.check_class(anatomy)
        latents = sample_latents(
            self.prior,
            anatomy.index,
            size,
            steps=sampling.steps,
            sampler=chosen_sampler(sampling, self.samplers),
            seeds=seeds,
            spacing=sampling.timesteps,
            voxel_size=voxel_size,
            heads=self.heads,
            patient=sampling.patient,
            guidance=1.0 if sampling.guidance is None else sampling.guidance,
            start=self._start(anatomy, size, sampling),
            acceleration=acceleration,
            on_step=steps_reporter(seeds, on_progress),
        )
        yield from self._decoded(latents, seeds, on_progress)

    def _decoded(self, latents: Tensor, seeds: Sequence[int], on_progress: OnProgress) -> Iterator[Tensor]:
        """Volumes (Z, X, Y) on the CPU, of latents (B, C, z, x, y) with one seed each."""
        decode = self.decoding or (lambda latent, report: self.prior.decode(latent, report)[0, 0])
        for seed, z in zip(seeds, latents, strict=True):
            yield decode(z[None], _percent(f"seed {seed}: decoding, %", on_progress)).float().cpu()


def _percent(stage: str, on_progress: OnProgress) -> Callable[[float], None]:
    return lambda share: on_progress(stage, round(100 * share), 100)
