"""Learning to estimate noise or velocities: BiFlowNet on latents, and a ControlNet head on a frozen BiFlowNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.biflownet import BiFlowNet
from priors.networks.controlnet import ControlNet
from priors.training.batches import Sample, generators
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


class BiFlowNetLearner(Learner):
    """Noise estimation on latents (paper, equation 9): samples ``latent`` (C, Z, X, Y) in [-1, 1], ``class`` ().

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

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            return self.net(z_t, t, y, size_condition(latent))

        prediction = self.net.config.prediction
        return {"total": self.diffusion.loss(estimate, latent, t, noise, self._loss, prediction=prediction)}

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {"timesteps": self.diffusion.timesteps}}


class ControlNetLearner(Learner):
    """Noise estimation under a condition, the base frozen (paper, equation 11).

    Samples: ``latent``, ``class`` as for BiFlowNet, ``hint`` (hint channels, Z, X, Y), and, where some voxels count for
    more, their ``weight`` (1, Z, X, Y).

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
        res = size_condition(latent)

        def estimate(z_t: Tensor, t: Tensor) -> Tensor:
            return self.base(z_t, t, y, res, control=self.head(z_t, t, y, res, hint))

        weight, prediction = batch.get("weight"), self.base.config.prediction
        return {"total": self.diffusion.loss(estimate, latent, t, noise, self._loss, weight, prediction)}

    def state(self) -> dict[str, Tensor]:
        """The head alone: the base lies in its own file."""
        return self.head.state_dict()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.head.load_state_dict(dict(state), strict=True)

    def card(self) -> dict[str, Any]:
        return {"config": self.head.config.to_dict(), "extra": {"base_sha256": self.head.base_hash}}
