"""Learning to estimate clean wavelet coefficients (WDM, Friedrich et al. 2024)."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn import functional

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.wdm.haar import to_coefficients, white_coefficients
from priors.networks.wdm.make import WDMNetwork
from priors.training.batches import Sample
from priors.training.diffusion_learner import draw_noise
from priors.training.learner import Learner, Losses


class WDMLearner(Learner):
    """Samples ``image`` (1, Z, X, Y) in [-1, 1]; the loss is the mean squared error of the coefficients.

    Noise is drawn for the volume and transformed. The transform is orthonormal, so that its coefficients are white
    noise too; their lowest band is not divided by 3 as that of a volume is.

    Args:
        net: the network to train.
        diffusion: its noise schedule.
    """

    kind = "wdm"

    def __init__(self, net: WDMNetwork, diffusion: GaussianDiffusion) -> None:
        super().__init__()
        self.net, self.diffusion = net, diffusion

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        t, noise = draw_noise(batch["seed"], batch["image"], self.diffusion.timesteps)
        clean = to_coefficients(batch["image"])
        estimate = self.net(self.diffusion.q_sample(clean, t, white_coefficients(noise)), t)
        return {"total": functional.mse_loss(estimate.float(), clean)}

    def card(self) -> dict[str, Any]:
        diffusion = {"timesteps": self.diffusion.timesteps, "schedule": self.diffusion.schedule}
        return {"config": self.net.config.to_dict(), "extra": diffusion}
