"""MedSyn (Xu et al. 2024) as a generator: a small volume by DDIM, then the finer grid by DDIM beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.continuous import TOLD, Estimate, ddim, ddim_times, guided
from priors.diffusion.prior import VoxelSize
from priors.diffusion.samplers import seeded_noise
from priors.generators.generator import OnProgress, Plan, Sampling, chosen_sampler, no_progress, steps_reporter
from priors.generators.trained import Origin, TrainedGenerator
from priors.networks.inference import Acceleration
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.grids import enlarged
from priors.networks.medsyn.low import MedSynLow
from priors.networks.patient import refuse_patient
from priors.networks.sizes import check_size
from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.store import SUFFIX

LOW_KIND, SR_KIND = "medsyn", "medsyn-sr"
LOW_FILE, SR_FILE = f"{LOW_KIND}{SUFFIX}", f"{SR_KIND}{SUFFIX}"

USUAL_STEPS = 50
"""Steps of the published sampler of small volumes."""

FINER_SHARE = 0.4
"""Steps on the finer grid for each step of the small volume: 20 for 50, as published."""


@dataclass(frozen=True)
class MedSyn(TrainedGenerator):
    """Both models of MedSyn, or the one of small volumes alone.

    Implements :class:`priors.generators.generator.Generator`, where the members without a text of their own are
    described.

    Attributes:
        low: the model of small volumes.
        finer: the model of the finer grid; None makes small volumes.
        guidance: the scale of classifier-free guidance by the text; 1 is none, as published for evaluation.
    """

    low: MedSynLow
    finer: MedSynSR | None = None
    guidance: float = 1.0

    method = "MedSyn"
    samplers = ("ddim",)

    def __post_init__(self) -> None:
        if self.finer is not None and self.finer.config.channels != self.low.config.channels:
            raise ValueError(
                f"small volumes of {self.low.config.channels} channels, and a finer grid of "
                f"{self.finer.config.channels}: the two were not trained together"
            )

    @property
    def ratio(self) -> int:
        """Voxels of the result along one voxel of the small volume."""
        return self.finer.config.ratio if self.finer is not None else 1

    @property
    def device(self) -> torch.device:
        return next(self.low.parameters()).device

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> MedSyn:
        """Move the networks; there is no decoder whose precision could change."""
        for network in self._networks():
            network.to(device)
        return self

    def _networks(self) -> list[MedSynLow | MedSynSR]:
        return [self.low] if self.finer is None else [self.low, self.finer]

    def check_size(self, size: Size) -> None:
        check_size(size[:1], self.ratio, ("Z",))
        finer = 1 if self.finer is None else self.finer.size_multiple
        check_size(size[1:], math.lcm(self.ratio * self.low.size_multiple, finer), ("X", "Y"))

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        refuse_patient(sampling.patient, self.method)
        sampler, steps = chosen_sampler(sampling, self.samplers), sampling.steps or USUAL_STEPS
        if sampling.timesteps is not None:
            raise ValueError(f"`timesteps` {sampling.timesteps}: MedSyn's times are evenly spaced")
        times = ddim_times(steps) + (ddim_times(_finer_steps(steps)) if self.finer is not None else [])
        return Plan(sampler, steps, tuple(round(TOLD * time, 3) for time in times))

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
        plan = self.plan(anatomy, size, sampling)
        text = self.low.text_of(anatomy.name)
        volumes = self.sample(size, seeds, plan.steps, text, acceleration=acceleration, on_progress=on_progress)
        for volume in volumes:
            yield volume[0].float().cpu()

    @torch.no_grad()
    def sample(
        self,
        size: Size,
        seeds: Sequence[int],
        steps: int = USUAL_STEPS,
        text: Tensor | None = None,
        *,
        acceleration: Acceleration | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Tensor:
        """New volumes (B, C, Z, X, Y) in [-1, 1] on the networks' device, one for each seed.

        Args:
            size: the size (z, x, y) in voxels.
            seeds: one seed for each volume.
            steps: the number of steps of the small volume's sampler.
            text: the embeddings (tokens, text width) of a report; None is no text.
            acceleration: the precision and layout of the networks; None is exact.
            on_progress: called as the work goes on.

        Raises:
            ValueError: a size, a number of steps or a text that the networks cannot have.
        """
        self.check_size(size)
        options, noise = acceleration or Acceleration(), seeded_noise(seeds)
        for network in self._networks():
            options.prepare(network)
        channels = self.low.config.channels

        def through(stage: str, estimate: Estimate, edges: Sequence[int], times: list[float]) -> Tensor:
            on_step = steps_reporter(seeds, on_progress, stage)
            z = noise(torch.empty(len(seeds), channels, *edges, device=self.device))
            return ddim(options.wrap(estimate, self.device), z, times, on_step=on_step)

        edges = [edge // self.ratio for edge in size]
        low = through("steps", self._estimate(text), edges, ddim_times(steps))
        if self.finer is None:
            return low
        finer, shown = self.finer, enlarged(low, self.ratio)
        times = ddim_times(_finer_steps(steps))
        return through("steps on the finer grid", lambda z, t: finer(shown, z, t), size, times)

    def _estimate(self, text: Tensor | None) -> Estimate:
        """The estimator of small clean volumes, told a text."""
        if text is None:
            return lambda z, t: self.low(z, t)
        told = text.to(self.device)

        def estimate(z: Tensor, t: Tensor) -> Tensor:
            with_text = self.low(z, t, told.expand(len(z), -1, -1))
            return with_text if self.guidance == 1 else guided(with_text, self.low(z, t), self.guidance)

        return estimate


def _finer_steps(steps: int) -> int:
    return max(1, round(FINER_SHARE * steps))


def load_medsyn(folder: Path) -> MedSyn:
    """The generator in a folder, on the CPU, for inference; small volumes where there is no model of the finer grid.

    Raises:
        ValueError: a file is missing or damaged, or the two do not belong together.
    """
    if not (folder / LOW_FILE).is_file():
        raise ValueError(f"{folder}: no generator: there is no {LOW_FILE} in it")
    low = load_network(folder / LOW_FILE, LOW_KIND).eval()
    if not (folder / SR_FILE).is_file():
        return MedSyn(_alone(Origin.of(folder, (LOW_FILE,)), read_card(folder / LOW_FILE).extra), low)
    origin = Origin.of(folder, (LOW_FILE, SR_FILE))
    told = read_card(folder / SR_FILE).extra.get(LOW_KIND, origin.sha256[LOW_FILE])
    if told != origin.sha256[LOW_FILE]:
        raise ValueError(f"{folder}: {SR_FILE} was trained for another {LOW_FILE}")
    try:
        return MedSyn(origin, low, load_network(folder / SR_FILE, SR_KIND).eval())
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _alone(origin: Origin, extra: dict[str, Any]) -> Origin:
    """The origin of small volumes, whose card says what the volumes on the finer grid were."""
    ratio = extra.get("ratio")
    if type(ratio) is not int or ratio < 1:
        return origin
    size = None if origin.size is None else (origin.size[0] // ratio, origin.size[1] // ratio, origin.size[2] // ratio)
    classes = {name: (z * ratio, x * ratio, y * ratio) for name, (z, x, y) in origin.classes.items()}
    return replace(origin, size=size, classes=classes)
