"""HA-GAN as a generator: a latent vector becomes a whole volume in one pass (Sun et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import seeded_noise
from priors.generators.generator import OnProgress, Plan, Sampling, chosen_sampler, no_progress, steps_reporter
from priors.generators.trained import Origin, TrainedGenerator
from priors.networks.hagan.generator import HAGANGenerator
from priors.networks.inference import Acceleration
from priors.networks.patient import refuse_patient
from priors.weights.networks import load_network
from priors.weights.store import SUFFIX

FILE = f"hagan{SUFFIX}"


@dataclass(frozen=True)
class HAGANSampler(TrainedGenerator):
    """A generative adversarial network that makes volumes.

    Implements :class:`priors.generators.generator.Generator`, where the members without a text of their own are
    described. A network with classes is told them in the order of ``classes``.

    Attributes:
        network: the generator network, in eval mode.
    """

    network: HAGANGenerator

    method = "HA-GAN"
    samplers = ("none",)

    @property
    def device(self) -> torch.device:
        return self.network.fc1.weight.device

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> HAGANSampler:
        self.network.to(device)
        return self

    @property
    def _edge(self) -> int:
        return self.network.config.size

    def check_class(self, anatomy: Anatomy) -> None:
        super().check_class(anatomy)
        if self.network.config.classes not in (0, len(self.classes)):
            raise ValueError(f"this HA-GAN has {self.network.config.classes} classes, of which its file names none")

    def _told(self, anatomy: Anatomy, count: int) -> list[Tensor]:
        """What the network is told beside ``count`` latent vectors: their class, for a network with classes."""
        if not self.network.config.classes:
            return []
        return [torch.full((count,), list(self.classes).index(anatomy.name), device=self.device)]

    def check_size(self, size: Size) -> None:
        if set(size) != {self._edge}:
            raise ValueError(
                f"`size` {' x '.join(map(str, size))}: this HA-GAN makes cubes of {self._edge} voxels alone"
            )

    def usual_sizes(self, anatomy: Anatomy) -> Sequence[Size]:
        return [(self._edge, self._edge, self._edge)]

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        refuse_patient(sampling.patient, self.method)
        sampler = chosen_sampler(sampling, self.samplers)
        if sampling.steps not in (None, 1):
            raise ValueError(f"`steps` {sampling.steps}: HA-GAN makes a volume in one pass")
        if sampling.timesteps is not None:
            raise ValueError(f"`timesteps` {sampling.timesteps}: HA-GAN makes a volume in one pass")
        return Plan(sampler, 1)

    @torch.no_grad()
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
        self.check_size(size)
        self.plan(anatomy, size, sampling)
        acceleration = acceleration or Acceleration()
        acceleration.prepare(self.network)
        make = acceleration.wrap(self.network, self.device)
        latents = seeded_noise(seeds)(torch.empty(len(seeds), self.network.config.latent, device=self.device))
        volumes = make(latents, *self._told(anatomy, len(seeds)))
        steps_reporter(seeds, on_progress, "volumes")(len(seeds), len(seeds))
        for volume in volumes:
            yield volume[0].float().cpu()


def load_hagan(folder: Path) -> HAGANSampler:
    """The generator in a folder, on the CPU.

    Raises:
        ValueError: its file is missing or damaged.
    """
    network: HAGANGenerator = load_network(folder / FILE, "hagan")
    return HAGANSampler(Origin.of(folder, [FILE]), network.eval().requires_grad_(False))
