"""How far a student's samples are from its teacher's long ones, from the same noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from priors.diffusion.distilled import SPACING
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.samplers import ddim, seeded_noise, spaced_timesteps
from priors.networks.biflownet import BiFlowNet
from priors.training.batches import Sample, SampleSource, derived_seed
from priors.training.diffusion_learner import size_condition
from priors.training.loop import Validated
from recon.pictures.lettering import Frame
from recon.training.validation import side_by_side

FEW = (1, 2, 4)
"""Numbers of steps that a validation always looks at, beside the student's own."""

_NEW = Frame(sides_known=True)  # new images lie as the training's do, and have no size of their own


@dataclass(frozen=True)
class Comparison:
    """The samples on which a student is compared with its teacher.

    Attributes:
        teacher: the prior of the teacher, which stays as it is.
        source: samples that say where the sampling of their class begins; their latents are not looked at.
        steps: the number of the student's steps.
        teacher_steps: the number of the teacher's steps.
        count: the number of samples.
    """

    teacher: PatchVolumePrior
    source: SampleSource
    steps: int
    teacher_steps: int
    count: int

    def sampled(self, network: BiFlowNet, steps: int) -> Tensor:
        """The latents (n, C, z, x, y) that a network makes in so many steps, from the same noise each time."""
        device = next(network.parameters()).device
        return torch.cat([self._one(network, steps, *each, device) for each in self._starts()])

    def _starts(self) -> Iterator[tuple[Sample, int]]:
        """The sample and the seed of the noise of each latent."""
        for draw in range(self.count):
            yield self.source.sample(draw % len(self.source), derived_seed("distilled", draw)), derived_seed("z", draw)

    def _one(self, network: BiFlowNet, steps: int, sample: Sample, seed: int, device: torch.device) -> Tensor:
        diffusion = self.teacher.diffusion.to(device)
        clean, first = sample["start"][None].to(device), sample["first"].reshape(1).to(device)
        z = diffusion.q_sample(clean, first, seeded_noise([seed])(clean))
        y, res = sample["class"].reshape(1).to(device), size_condition(clean)
        estimate = diffusion.noise_estimator(network.bind(y, res), network.config.prediction)
        times = spaced_timesteps(diffusion.timesteps, steps, SPACING, int(first))
        return ddim(estimate, z, diffusion, times, clip=self.teacher.latent_limit)

    @cached_property
    def long(self) -> Tensor:
        """The teacher's samples of its many steps."""
        return self.sampled(self.teacher.biflownet, self.teacher_steps)

    @cached_property
    def short(self) -> Tensor:
        """The teacher's samples of as many steps as the student's."""
        return self.sampled(self.teacher.biflownet, self.steps)


@dataclass(frozen=True)
class DistilledValidation:
    """Root mean square differences of latents from the teacher's long samples; no ground truth is needed.

    ``distance`` is that of the student at its own number of steps, ``distance_1`` and so on at others, for which it was
    not made, and ``undistilled`` that of the teacher at the student's number of steps. The picture shows the middle
    slice of one volume: the teacher's of few steps, the student's, and the teacher's of many.

    Attributes:
        comparison: the samples that are compared.
    """

    comparison: Comparison

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> Validated:
        """The figures and the picture of a student."""
        assert isinstance(network, BiFlowNet)
        compared = self.comparison
        compared.teacher.to(next(network.parameters()).device)
        found = {steps: compared.sampled(network, steps) for steps in sorted({compared.steps, *FEW})}
        figures = {"distance": distance(found[compared.steps], compared.long)}
        figures |= {f"distance_{steps}": distance(each, compared.long) for steps, each in found.items()}
        figures["undistilled"] = distance(compared.short, compared.long)
        return Validated(figures, {"distilled": self._picture([compared.short, found[compared.steps], compared.long])})

    def _picture(self, latents: Sequence[Tensor]) -> np.ndarray:
        volumes = [self.comparison.teacher.decode(each[:1])[0, 0].cpu() for each in latents]
        return side_by_side(*(volume[len(volume) // 2] for volume in volumes), frame=_NEW)


def distance(one: Tensor, other: Tensor) -> float:
    """The root mean square difference."""
    return math.sqrt(float((one - other).square().mean()))
