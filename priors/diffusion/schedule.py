"""The forward diffusion: a noise schedule, noisy latents, and the loss of a noise estimator.

Ho et al., "Denoising Diffusion Probabilistic Models" (2020), with its linear schedule, as image-space priors use it, or
the cosine schedule of Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), as 3D
MedDiffusion uses it (section III-B). MAISI's two generations have a schedule that is linear in the square root of the
betas, and a rectified flow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.biflownet_config import Prediction

LossKind = Literal["l1", "l2"]


_OFFSET = 0.008  # keeps the first steps from being too small
_LARGEST_BETA = 0.9999  # the last step of a cosine schedule would otherwise leave no signal at all

_LINEAR_BETAS = (1e-4, 2e-2)  # first and last for 1000 steps; for other counts the sum stays about the same
_LINEAR_STEPS = 1000

_SCALED_BETAS = (1.5e-3, 1.95e-2)  # first and last, whatever the count


class GaussianDiffusion(nn.Module):
    """A noise schedule: z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise for the steps t = 0 .. ``timesteps`` - 1.

    The buffers (float32, (``timesteps``,)) have the customary names and are not saved in a state dict.

    Args:
        timesteps: number of steps T.
        schedule: ``"cosine"``, ``"linear"``, ``"scaled-linear"`` or ``"rectified-flow"``.

    Raises:
        ValueError: another schedule, or too few steps.
    """

    betas: Tensor
    alphas_cumprod: Tensor
    alphas_cumprod_prev: Tensor
    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor
    log_one_minus_alphas_cumprod: Tensor
    sqrt_recip_alphas_cumprod: Tensor
    sqrt_recipm1_alphas_cumprod: Tensor
    posterior_variance: Tensor
    posterior_log_variance_clipped: Tensor
    posterior_mean_coef1: Tensor
    posterior_mean_coef2: Tensor

    def __init__(self, timesteps: int = 1000, schedule: str = "cosine") -> None:
        super().__init__()
        if timesteps < 1:
            raise ValueError(f"a diffusion of {timesteps} steps; at least 1 is needed")
        if schedule not in _SCHEDULES:
            raise ValueError(f"no noise schedule {schedule!r}; one of {', '.join(map(repr, _SCHEDULES))}")
        self.timesteps, self.schedule = timesteps, schedule
        betas = _SCHEDULES[schedule](timesteps)
        self._alpha_bars: list[float] = (1 - betas).cumprod(0).tolist()
        for name, values in _buffers(betas).items():
            self.register_buffer(name, values.float(), persistent=False)

    def alpha_bar(self, t: int) -> float:
        """abar_t in float64, the share of signal in the variance of z_t; 1 for t = -1, the clean end."""
        return 1.0 if t < 0 else self._alpha_bars[t]

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Noisy latents: (B, ...) ``x0`` and ``noise``, (B,) integer ``t``."""
        return _at(self.sqrt_alphas_cumprod, t, x0) * x0 + _at(self.sqrt_one_minus_alphas_cumprod, t, x0) * noise

    def predict_x0(self, z_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """The clean latents that ``z_t`` (B, ...) would come from if its noise were ``eps``; not clipped."""
        return _at(self.sqrt_recip_alphas_cumprod, t, z_t) * z_t - _at(self.sqrt_recipm1_alphas_cumprod, t, z_t) * eps

    def velocity(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """sqrt(abar_t) noise - sqrt(1 - abar_t) z_0 (Salimans and Ho, "Progressive Distillation", 2022, section 4).

        Near the end of pure noise it is the clean latent but for its sign, so that an error of a network there is an
        error of the image, and not one that the estimate of the image multiplies.
        """
        return _at(self.sqrt_alphas_cumprod, t, x0) * noise - _at(self.sqrt_one_minus_alphas_cumprod, t, x0) * x0

    def noise_of_velocity(self, z_t: Tensor, t: Tensor, velocity: Tensor) -> Tensor:
        """The noise in ``z_t`` (B, ...) that a velocity at the steps ``t`` (B,) means."""
        kept, lost = _at(self.sqrt_alphas_cumprod, t, z_t), _at(self.sqrt_one_minus_alphas_cumprod, t, z_t)
        return kept * velocity + lost * z_t

    def velocity_of_noise(self, z_t: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """The velocity that a noise in ``z_t`` (B, ...) at the steps ``t`` (B,) means; the reverse of the above."""
        kept, lost = _at(self.sqrt_alphas_cumprod, t, z_t), _at(self.sqrt_one_minus_alphas_cumprod, t, z_t)
        return (noise - lost * z_t) / kept

    def noise_estimator(
        self, estimate: Callable[[Tensor, Tensor], Tensor], prediction: Prediction
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """The estimator (z_t, t) -> noise of a network that estimates ``prediction``."""
        if prediction == "noise":
            return estimate
        return lambda z_t, t: self.noise_of_velocity(z_t, t, estimate(z_t, t))

    def learned_log_variance(self, fraction: Tensor, t: Tensor) -> Tensor:
        """Log variance of the step back between the two bounds on it (Nichol and Dhariwal, 2021, equation 15).

        Args:
            fraction: (B, ...) as a network tells it: -1 is the lower bound, the posterior's, 1 the upper, beta.
            t: (B,) integer steps; at the first, the lower bound is that of the second, since its own variance is 0.
        """
        lower = _at(self.posterior_log_variance_clipped, t.clamp_min(min(1, self.timesteps - 1)), fraction)
        upper = _at(self.betas.log(), t, fraction)
        return lower + (fraction + 1) / 2 * (upper - lower)

    def loss(
        self,
        estimate: Callable[[Tensor, Tensor], Tensor],
        x0: Tensor,
        t: Tensor,
        noise: Tensor,
        kind: LossKind = "l1",
        weight: Tensor | None = None,
        prediction: Prediction = "noise",
    ) -> Tensor:
        """Mean error of a noise estimator, or of an estimator of velocities, on the noisy latents.

        Equation 8 of the paper writes the squared error; the released networks were trained with the absolute one.

        Args:
            estimate: (z_t, t) -> what ``prediction`` says.
            x0: (B, C, Z, X, Y) clean latents.
            t: (B,) steps.
            noise: (B, C, Z, X, Y) standard normal.
            kind: ``"l1"`` or ``"l2"``.
            weight: (B, 1, Z, X, Y) weights of the latent voxels in the mean; None weighs all alike.
            prediction: what the network estimates.
        """
        distance = {"l1": functional.l1_loss, "l2": functional.mse_loss}.get(kind)
        if distance is None:
            raise ValueError(f"no diffusion loss {kind!r}; one of 'l1', 'l2'")
        found = estimate(self.q_sample(x0, t, noise), t)
        wanted = noise if prediction == "noise" else self.velocity(x0, t, noise)
        if weight is None:
            return distance(found, wanted)
        return (weight * distance(found, wanted, reduction="none")).mean() / weight.mean()


def cosine_betas(timesteps: int) -> Tensor:
    """(``timesteps``,) float64 noise variances of the cosine schedule."""
    position = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    signal = torch.cos((position + _OFFSET) / (1 + _OFFSET) * math.pi / 2).square()
    return (1 - signal[1:] / signal[:-1]).clamp(0, _LARGEST_BETA)


def linear_betas(timesteps: int) -> Tensor:
    """(``timesteps``,) float64 noise variances of the linear schedule.

    Raises:
        ValueError: so few steps that the last would leave no signal.
    """
    scale = _LINEAR_STEPS / timesteps
    if scale * _LINEAR_BETAS[1] >= 1:
        least = int(_LINEAR_STEPS * _LINEAR_BETAS[1]) + 1
        raise ValueError(f"a linear noise schedule of {timesteps} steps; at least {least} are needed")
    return torch.linspace(scale * _LINEAR_BETAS[0], scale * _LINEAR_BETAS[1], timesteps, dtype=torch.float64)


def scaled_linear_betas(timesteps: int) -> Tensor:
    """(``timesteps``,) float64 noise variances whose square roots are linear, as MAISI's first generation has them."""
    first, last = _SCALED_BETAS
    return torch.linspace(math.sqrt(first), math.sqrt(last), timesteps, dtype=torch.float64).square()


def rectified_flow_betas(timesteps: int) -> Tensor:
    """(``timesteps``,) float64 noise variances of a diffusion that is a rectified flow at other scales.

    The flow's z_s = (1 - s) z_0 + s noise, over its own norm, has the signal's share (1 - s)^2 / ((1 - s)^2 + s^2).
    Step t is at s = (t + 1) / (``timesteps`` + 1), short of the end, where no signal is left; :func:`flow_time` gives
    it back.
    """
    s = torch.arange(1, timesteps + 1, dtype=torch.float64) / (timesteps + 1)
    signal = functional.pad((1 - s).square() / ((1 - s).square() + s.square()), (1, 0), value=1.0)
    return 1 - signal[1:] / signal[:-1]


def flow_time(alpha_bar: float) -> float:
    """The time s of the rectified flow, 0 to 1, at which the signal's share of the variance is ``alpha_bar``."""
    ratio = math.sqrt((1 - alpha_bar) / alpha_bar)
    return ratio / (1 + ratio)


_SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    "cosine": cosine_betas,
    "linear": linear_betas,
    "scaled-linear": scaled_linear_betas,
    "rectified-flow": rectified_flow_betas,
}


def _buffers(betas: Tensor) -> dict[str, Tensor]:
    """Everything that follows from the betas, float64."""
    alphas = 1 - betas
    now = alphas.cumprod(0)
    before = functional.pad(now[:-1], (1, 0), value=1.0)
    variance = betas * (1 - before) / (1 - now)
    return {
        "betas": betas,
        "alphas_cumprod": now,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": now.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - now).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - now).log(),
        "sqrt_recip_alphas_cumprod": (1 / now).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / now - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp_min(1e-20).log(),
        "posterior_mean_coef1": betas * before.sqrt() / (1 - now),
        "posterior_mean_coef2": (1 - before) * alphas.sqrt() / (1 - now),
    }


def _at(values: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """``values[t]`` shaped (B, 1, ...), so that each sample of a batch gets its own."""
    return values[t].view(-1, *[1] * (like.ndim - 1))
