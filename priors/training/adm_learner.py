"""Learning to estimate noise in images, and the variance of the step back: the ADM prior of DDS, and DOLCE.

Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.1.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_unet import ADMUNet, condition_repeats
from priors.training.batches import Sample
from priors.training.diffusion_learner import draw_noise
from priors.training.learner import Learner, Losses

VARIATIONAL_WEIGHT = 0.001
"""Of the variational bound beside the squared error of the noise (equation 16)."""


class ADMLearner(Learner):
    """Noise estimation on images: samples ``target`` (channels, X, Y) and, with conditions, ``input`` of these.

    Args:
        net: the network to train.
        diffusion: its noise schedule.
        conditions: channels of ``input`` (DOLCE); 0 is a prior without it.

    Raises:
        ValueError: the network's input has no room for the conditions, or room that they do not fill.
    """

    kind: ClassVar[str] = "adm"

    def __init__(self, net: ADMUNet, diffusion: GaussianDiffusion, conditions: int = 0):
        super().__init__()
        condition_repeats(net.config, conditions)
        self.kind = "dolce" if conditions else "adm"  # type: ignore[misc]  # one learner trains both
        self.net, self.diffusion, self._conditions = net, diffusion, conditions

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        target = batch["target"]
        t, noise = draw_noise(batch["seed"], target, self.diffusion.timesteps)
        condition = batch["input"] if self._conditions else None
        estimate, fraction = self.net.estimate(self.diffusion.q_sample(target, t, noise), t, condition)
        simple = functional.mse_loss(estimate.float(), noise)
        if fraction is None:
            return {"total": simple}
        # The bound teaches the variance alone: it would only add noise to what the squared error teaches.
        error = estimate.detach().float() - noise
        bound = self.diffusion.timesteps * variational_terms(self.diffusion, error, fraction.float(), t).mean()
        return {"total": simple + VARIATIONAL_WEIGHT * bound, "simple": simple, "variational": bound}

    def card(self) -> dict[str, Any]:
        diffusion = {"timesteps": self.diffusion.timesteps, "schedule": self.diffusion.schedule}
        return {"config": self.net.config.to_dict(), "extra": diffusion | {"conditions": self._conditions}}


def variational_terms(diffusion: GaussianDiffusion, error: Tensor, fraction: Tensor, t: Tensor) -> Tensor:
    """One term of the variational bound for each sample, in bits per pixel.

    The term of step t > 0 is the divergence of the learned step back from the true posterior; that of step 0 the
    negative log density of the image, which is continuous here and not of 256 grey values as in the publication.

    Args:
        diffusion: the noise schedule.
        error: (B, C, X, Y) estimated less true noise.
        fraction: (B, C, X, Y), see :meth:`~priors.diffusion.schedule.GaussianDiffusion.learned_log_variance`.
        t: (B,) steps.

    Returns:
        (B,). Their mean over uniform t, times the number of steps, is the bound without its constant last term.
    """
    log_variance = diffusion.learned_log_variance(fraction, t)
    # Both means have the same part in z_t, so that their distance is the error alone, scaled.
    scale = (diffusion.posterior_mean_coef1 * diffusion.sqrt_recipm1_alphas_cumprod)[t].view(-1, 1, 1, 1)
    squared = (scale * error).square() * torch.exp(-log_variance)
    true = diffusion.posterior_log_variance_clipped[t].view(-1, 1, 1, 1)
    divergence = (log_variance - true + torch.exp(true - log_variance) - 1 + squared) / 2
    density = (math.log(2 * math.pi) + log_variance + squared) / 2
    first = (t == 0).view(-1, 1, 1, 1)
    return torch.where(first, density, divergence).mean(dim=(1, 2, 3)) / math.log(2)
