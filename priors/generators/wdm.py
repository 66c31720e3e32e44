"""WDM as a generator: diffusion of wavelet coefficients (Friedrich et al. 2024), ancestral as published or by DDIM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.clean_samplers import CleanEstimator, OnDone, ancestral, deterministic, even_timesteps
from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import seeded_noise, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.generators.generator import OnProgress, Plan, Sampling, chosen_sampler, no_progress, steps_reporter
from priors.generators.trained import Origin, TrainedGenerator
from priors.networks.inference import Acceleration
from priors.networks.patient import refuse_patient
from priors.networks.sizes import check_size
from priors.networks.wdm.config import BANDS
from priors.networks.wdm.haar import from_coefficients, to_coefficients
from priors.networks.wdm.make import WDMNetwork
from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.store import SUFFIX

FILE = f"wdm{SUFFIX}"
Axes = Literal["zxy", "xyz"]
TIMESTEPS = 1000
SCHEDULE = "linear"
DDIM_STEPS = 50
"""Steps of DDIM where nothing is said; the ancestral sampler visits every step of the diffusion then."""


@dataclass(frozen=True)
class WDMGenerator(TrainedGenerator):
    """Networks of wavelet coefficients that make volumes.

    Implements :class:`priors.generators.generator.Generator`, where the members without a text of their own are
    described. The network is told no class.

    Attributes:
        network: the estimator of clean coefficients, in eval mode.
        diffusion: the noise schedule that it was trained with.
        axes: the order of the axes of its volumes; the released weights have ``xyz``.
    """

    network: WDMNetwork
    diffusion: GaussianDiffusion
    axes: Axes = "zxy"

    method = "WDM"
    samplers = ("ddpm", "ddim")

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> WDMGenerator:
        self.network.to(device)
        return self

    def check_size(self, size: Size) -> None:
        check_size(size, self.network.config.size_multiple)

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        refuse_patient(sampling.patient, self.method)
        sampler, total = chosen_sampler(sampling, self.samplers), self.diffusion.timesteps
        steps = sampling.steps or (total if sampler == "ddpm" else min(DDIM_STEPS, total))
        if sampling.timesteps is None:
            times = even_timesteps(total, steps)
        else:
            times = spaced_timesteps(total, steps, sampling.timesteps, diffusion=self.diffusion).tolist()
        return Plan(sampler, steps, tuple(times))

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
        plan = self.plan(anatomy, size, sampling)
        own = (size[1], size[2], size[0]) if self.axes == "xyz" else size
        coefficients = self._sample(
            torch.empty(len(seeds), BANDS, *(edge // 2 for edge in own), device=self.device),
            seeds,
            plan,
            acceleration or Acceleration(),
            steps_reporter(seeds, on_progress),
        )
        for each in coefficients:
            volume = from_coefficients(each[None])[0, 0].clamp(-1, 1).float().cpu()
            yield volume.movedim(2, 0) if self.axes == "xyz" else volume

    def _sample(
        self, like: Tensor, seeds: Sequence[int], plan: Plan, acceleration: Acceleration, on_done: OnDone
    ) -> Tensor:
        """Clean coefficients, from noise of the shape of ``like``."""
        noise, times = seeded_noise(seeds), [int(t) for t in plan.times]
        acceleration.prepare(self.network)
        estimate = clipped(acceleration.wrap(self.network, self.device))
        if plan.sampler == "ddim":
            return deterministic(estimate, noise(like), self.diffusion, times, on_done)
        return ancestral(estimate, noise(like), self.diffusion, times, noise, on_done)


def clipped(estimate: CleanEstimator) -> CleanEstimator:
    """An estimator of coefficients whose volume is held within [-1, 1], as the published sampler does."""

    def within(x: Tensor, t: Tensor) -> Tensor:
        return to_coefficients(from_coefficients(estimate(x, t)).clamp(-1, 1))

    return within


def load_wdm(folder: Path) -> WDMGenerator:
    """The generator in a folder, on the CPU.

    Raises:
        ValueError: its file is missing or damaged.
    """
    path = folder / FILE
    network: WDMNetwork = load_network(path, "wdm")
    extra = read_card(path).extra
    return WDMGenerator(
        Origin.of(folder, [FILE]), network.eval().requires_grad_(False), _diffusion(path, extra), _axes(path, extra)
    )


def _diffusion(path: Path, extra: Mapping[str, Any]) -> GaussianDiffusion:
    """The noise schedule that a card names."""
    timesteps, schedule = extra.get("timesteps", TIMESTEPS), extra.get("schedule", SCHEDULE)
    try:
        if type(timesteps) is not int:
            raise ValueError(f"timesteps is {timesteps!r}")
        return GaussianDiffusion(timesteps, str(schedule))
    except ValueError as error:
        raise ValueError(f"{path}: its header is damaged: {error}") from error


def _axes(path: Path, extra: Mapping[str, Any]) -> Axes:
    """The order of the axes that a card names; ours where it names none."""
    axes: Axes = extra.get("axes", "zxy")
    if axes not in get_args(Axes):
        raise ValueError(f"{path}: its header is damaged: axes is {axes!r}")
    return axes
