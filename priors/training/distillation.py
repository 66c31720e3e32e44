"""Distillation: a student that makes in 1 to 4 steps what its teacher makes in many.

Progressive distillation (Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", 2022): the
student begins as its teacher and learns to make several of the teacher's DDIM steps in one, in stages, such as 64 steps
to 16, 16 to 4, and 4 to 1. The student of a stage is the teacher of the next one.

Why this and no consistency distillation (Song et al., 2023; Luo et al., "Latent Consistency Models", 2023):

* The student's steps are DDIM's own, so that every sampler, weights file and interface stays what it is. Consistency
  models draw new noise between their steps, by a sampler of their own.
* The same noise leads to the same sample, of the student as of the teacher. What the distillation costs is therefore a
  distance to the teacher's long sample, measured volume by volume and without real data. With new noise between the
  steps there is no such sample to compare with.
* A stage learns from a network that stands still. A consistency model learns from an average of itself, whose errors
  add up over all of the trajectory, and must be right at every noise level, while a student visits a few.

The price is one number of steps for each student. A student of 4 steps can be distilled further, to 2 and to 1.

The loss is of velocities. A student of a teacher of noise may estimate noise as well, from which its velocity follows
exactly, so that it begins as its teacher and no worse. In a step from noise alone this fails: a noise estimate says
nothing of the image there (section 4 of the paper). The student then estimates velocities, and a first stage, whose
steps are the teacher's, teaches it these.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.diffusion.distilled import DISTILLED, SPACING, Distilled
from priors.diffusion.samplers import NoiseEstimator, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.biflownet import BiFlowNet
from priors.networks.biflownet_config import Prediction
from priors.training.batches import Sample, generators
from priors.training.diffusion_learner import size_condition
from priors.training.distillation_stages import Schedule, Stage
from priors.training.learner import Learner, Losses


def ddim_move(
    estimate: NoiseEstimator, z: Tensor, t: Tensor, after: Tensor, diffusion: GaussianDiffusion, limit: float | None
) -> Tensor:
    """One DDIM step as :func:`priors.diffusion.samplers.ddim` makes it, for a batch of different times.

    Args:
        estimate: the noise estimator.
        z: (B, ...) latents at ``t``.
        t: (B,) times.
        after: (B,) times that are moved to; -1 is the clean end.
        diffusion: the noise schedule.
        limit: the bound of the estimates of clean latents; None holds them nowhere.
    """
    noise = estimate(z, t)
    clean = diffusion.predict_x0(z, t, noise)
    if limit is not None:
        clean = clean.clamp(-limit, limit)
    kept, lost = _shares(diffusion, after, z)
    return kept * clean + lost * noise


def velocity_of_move(
    z: Tensor, t: Tensor, moved: Tensor, after: Tensor, diffusion: GaussianDiffusion, limit: float | None
) -> Tensor:
    """The velocity at (z, t) with which one DDIM step ends at ``moved`` (Salimans and Ho, Algorithm 2).

    Args:
        z: (B, ...) latents at ``t``.
        t: (B,) times.
        moved: (B, ...) latents at ``after``.
        after: (B,) times; -1 is the clean end.
        diffusion: the noise schedule.
        limit: the bound within which samplers hold the estimates of clean latents; None holds them nowhere.
    """
    (kept, lost), (kept_after, lost_after) = _shares(diffusion, t, z), _shares(diffusion, after, z)
    ratio = lost_after / lost
    clean = (moved - ratio * z) / (kept_after - ratio * kept)
    if limit is not None:
        clean = clean.clamp(-limit, limit)
    return (kept * z - clean) / lost


def _shares(diffusion: GaussianDiffusion, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(abar_t) and sqrt(1 - abar_t), shaped (B, 1, ...); at t = -1, the clean end, 1 and 0."""
    clean = t < 0
    place = t.clamp_min(0)
    kept = diffusion.sqrt_alphas_cumprod[place].masked_fill(clean, 1.0)
    lost = diffusion.sqrt_one_minus_alphas_cumprod[place].masked_fill(clean, 0.0)
    shape = (-1, *[1] * (like.ndim - 1))
    return kept.view(shape), lost.view(shape)


@lru_cache(maxsize=64)
def _times(total: int, steps: int, first: int) -> tuple[int, ...]:
    """The times that a sampler of so many steps visits, ascending, the clean end as -1 before them."""
    return -1, *reversed(spaced_timesteps(total, steps, SPACING, first).tolist())


class DistillationLearner(Learner):
    """A student that learns a teacher's DDIM steps, stage by stage.

    Samples: ``latent`` (C, Z, X, Y) in [-1, 1] and ``class`` () as for BiFlowNet; ``first`` (), the time at which the
    sampler begins, and ``start`` (C, Z, X, Y), the clean latent that it begins from with noise, zeros for noise alone.
    At the noisiest step the student learns from that start, as it will be asked, and elsewhere from noised latents.

    Args:
        student: the network to train, with the teacher's weights; it estimates velocities, or noise as its teacher.
        teacher: the teacher of the first stage; it changes with the stages here.
        diffusion: the teacher's noise schedule.
        schedule: the stages.
        facts: what the card says of the distillation.
        loss: ``l1`` or ``l2``, of velocities.
        limit: the bound within which samplers hold the estimates of clean latents; None holds them nowhere.
    """

    kind = "biflownet"

    stage: Tensor

    def __init__(
        self,
        student: BiFlowNet,
        teacher: BiFlowNet,
        diffusion: GaussianDiffusion,
        schedule: Schedule,
        facts: Distilled,
        loss: Literal["l1", "l2"] = "l2",
        limit: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.net, self.diffusion, self._schedule, self._facts = student, diffusion, schedule, facts
        self.teacher = teacher.requires_grad_(False).eval()
        self._distance = functional.mse_loss if loss == "l2" else functional.l1_loss
        self._limit, self._first_teacher = limit, teacher.config.prediction
        self.register_buffer("stage", torch.zeros((), dtype=torch.long))

    def train(self, mode: bool = True) -> DistillationLearner:
        """The teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def network(self) -> nn.Module:
        return self.net

    def rate_factor(self, phase: str, step: int) -> float:
        """The learning rate falls to nothing in every stage."""
        return 1.0 - self._schedule.at(step)[1]

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        stage = self._enter(step)
        latent, y = batch["latent"], batch["class"]
        moves, is_first, noise = self._draw(batch, stage)
        clean = torch.where(is_first.view(-1, *[1] * (latent.ndim - 1)), batch["start"], latent)
        t, after = moves[:, 0], moves[:, -1]
        z = self.diffusion.q_sample(clean, t, noise)
        with torch.no_grad():
            moved, teach = z, self._noise_estimator(self.teacher, self._prediction(), y)
            for now, following in itertools.pairwise(moves.unbind(1)):
                moved = ddim_move(teach, moved, now, following, self.diffusion, self._limit)
            wanted = velocity_of_move(z, t, moved, after, self.diffusion, self._limit)
        found = self.net(z, t, y, size_condition(latent))
        if self.net.config.prediction == "noise":
            found = self.diffusion.velocity_of_noise(z, t, found)
        return {"total": self._distance(found, wanted)}

    def _enter(self, step: int) -> Stage:
        """The stage of a training step; where it begins, the student becomes the teacher."""
        index, _ = self._schedule.at(step)
        if index > int(self.stage):
            self.teacher.load_state_dict(self.net.state_dict())
            self.stage.fill_(index)
        return self._schedule.stages[index]

    def _prediction(self) -> Prediction:
        """What the teacher of this stage estimates."""
        return self.net.config.prediction if int(self.stage) else self._first_teacher

    def _noise_estimator(self, net: nn.Module, prediction: Prediction, y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        return self.diffusion.noise_estimator(lambda z, t: net(z, t, y, size_condition(z)), prediction)

    def _draw(self, batch: Sample, stage: Stage) -> tuple[Tensor, Tensor, Tensor]:
        """For each sample the times that the teacher moves through, (B, ratio + 1), whether the sampler begins there,
        (B,), and noise."""
        latent, total = batch["latent"], self.diffusion.timesteps
        random = generators(batch["seed"], latent.device)
        moves, begins, noise = [], [], []
        for own, first in zip(random, batch["first"].tolist(), strict=True):
            place = int(torch.randint(stage.steps, (), generator=own, device=latent.device))
            times = _times(total, stage.teacher_steps, first)
            moves.append(times[place * stage.ratio : (place + 1) * stage.ratio + 1][::-1])
            begins.append(place == stage.steps - 1)
            noise.append(torch.randn(latent.shape[1:], generator=own, device=latent.device, dtype=latent.dtype))
        device = latent.device
        return torch.tensor(moves, device=device), torch.tensor(begins, device=device), torch.stack(noise)

    def card(self) -> dict[str, Any]:
        extra = {"timesteps": self.diffusion.timesteps, DISTILLED: self._facts.to_dict()}
        return {"config": self.net.config.to_dict(), "extra": extra}
