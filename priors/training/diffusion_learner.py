"""Learning to estimate noise or velocities: BiFlowNet on latents, and a ControlNet head on a frozen BiFlowNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.biflownet import BiFlowNet
from priors.networks.controlnet import ControlNet
from priors.networks.patient_embedding import Patients
from priors.training.batches import Sample, derived_seed, generators
from priors.training.learner import Learner, Losses


def draw_noise(seeds: Tensor, like: Tensor, timesteps: int) -> tuple[Tensor, Tensor]:
    """Time steps (B,) and noise of the shape of ``like`` (B, …), each sample's from its own seed."""
    random = generators(seeds, like.device)
    t = torch.stack([torch.randint(timesteps, (), generator=g, device=like.device) for g in random])
    noise = [torch.randn(like.shape[1:], generator=g, device=like.device, dtype=like.dtype) for g in random]
    return t, torch.stack(noise)


def size_condition(latent: Tensor) -> Tensor:
    """(B, 3): latent size (z, x, y) over 64, as BiFlowNet is told it."""
    size = torch.tensor(latent.shape[2:], dtype=torch.float32, device=latent.device) / 64
    return size.expand(len(latent), 3)


DROPPED = 0.1
"""The share of samples whose age and sex are both hidden in training, and that of those where only one of them is."""


def patients_of(batch: Sample, *, training: bool) -> Patients | None:
    """Age and sex of a batch, as the network is told them; None where the samples say neither.

    In training both are hidden in a tenth of the samples, the age alone in another tenth and the sex alone in a third
    tenth, so that the network also learns to do without either (classifier-free guidance, Ho and Salimans, 2022).

    Args:
        batch: samples with ``age`` () in years, NaN where it is unknown, and ``sex`` (), or without both.
        training: whether some are hidden; which ones follows from the samples' seeds.
    """
    if "age" not in batch:
        return None
    told = Patients(batch["age"], batch["sex"])
    if not training:
        return told
    draws = [torch.rand((), generator=_own_generator(int(seed))) for seed in batch["seed"]]
    draw = torch.stack(draws).to(told.age.device)
    return told.without(age=draw < 2 * DROPPED, sex=(draw < DROPPED) | ((draw >= 2 * DROPPED) & (draw < 3 * DROPPED)))


def _own_generator(seed: int) -> torch.Generator:
    """Another generator than that of time step and noise, which hence stay as they are."""
    return torch.Generator().manual_seed(derived_seed(seed, "patient"))


class BiFlowNetLearner(Learner):
    """Noise estimation on latents (paper, equation 9).

    Samples: ``latent`` (C, Z, X, Y) in [-1, 1], ``class`` (), and for a network that is told them ``age`` () and
    ``sex`` (), see :func:`patients_of`.

    Args:
        net: the noise estimator to train.
        diffusion: its noise schedule.
        loss: ``l1`` as released, ``l2`` as printed in the paper.
    """

    kind = "biflownet"

    def __init__(self, net: BiFlowNet, diffusion: GaussianDiffusion, loss: Literal["l1", "l2"] = "l1"):
        super().__init__()
        self.net, self.diffusion, self._loss = net, diffusion, loss

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        latent, y = batch["latent"], batch["class"]
        t, noise = draw_noise(batch["seed"], latent, self.diffusion.timesteps)
        patients = patients_of(batch, training=self.training)

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            return self.net(z_t, t, y, size_condition(latent), patients=patients)

        prediction = self.net.config.prediction
        return {"total": self.diffusion.loss(estimate, latent, t, noise, self._loss, prediction=prediction)}

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {"timesteps": self.diffusion.timesteps}}


class ControlNetLearner(Learner):
    """Noise estimation under a condition, the base frozen (paper, equation 11).

    Samples: ``latent``, ``class``, ``age``, ``sex`` as for BiFlowNet, ``hint`` (hint channels, Z, X, Y), and, where
    some voxels count for more, their ``weight`` (1, Z, X, Y).

    Args:
        head: the ControlNet head to train.
        base: frozen here.
        diffusion: the base's noise schedule.
        loss: ``l1`` or ``l2``.
    """

    kind = "controlnet"

    def __init__(
        self, head: ControlNet, base: BiFlowNet, diffusion: GaussianDiffusion, loss: Literal["l1", "l2"] = "l1"
    ):
        super().__init__()
        self.head, self.diffusion, self._loss = head, diffusion, loss
        self.base = base.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ControlNetLearner:
        """The base stays in eval mode."""
        super().train(mode)
        self.base.eval()
        return self

    def network(self) -> nn.Module:
        return self.head

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        latent, y, hint = batch["latent"], batch["class"], batch["hint"]
        t, noise = draw_noise(batch["seed"], latent, self.diffusion.timesteps)
        res, patients = size_condition(latent), patients_of(batch, training=self.training)

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            control = self.head(z_t, t, y, res, hint, patients=patients)
            return self.base(z_t, t, y, res, control=control, patients=patients)

        weight, prediction = batch.get("weight"), self.base.config.prediction
        return {"total": self.diffusion.loss(estimate, latent, t, noise, self._loss, weight, prediction)}

    def state(self) -> dict[str, Tensor]:
        """The head alone: the base lies in its own file."""
        return self.head.state_dict()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.head.load_state_dict(dict(state), strict=True)

    def card(self) -> dict[str, Any]:
        return {"config": self.head.config.to_dict(), "extra": {"base_sha256": self.head.base_hash}}
