"""Samplers for networks that estimate the clean sample itself, and not the noise in it.

At the first, noisiest steps hardly any signal is left, and a clean estimate that is turned into noise and back would
lose digits there. Everything else is as in :mod:`priors.diffusion.samplers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from priors.diffusion.samplers import Noise
from priors.diffusion.schedule import GaussianDiffusion

CleanEstimator = Callable[[Tensor, Tensor], Tensor]
"""(x_t (B, ...), t (B,) long) -> the clean sample in x_t."""

OnDone = Callable[[int, int], None]
"""Takes the steps that are done and the steps in all."""


def even_timesteps(total: int, steps: int) -> list[int]:
    """``steps`` of ``total`` diffusion steps, descending, evenly spaced and rounded to the nearest, ends included.

    Raises:
        ValueError: fewer than one or more than ``total`` steps.
    """
    if not 1 <= steps <= total:
        raise ValueError(f"`steps` {steps}: must be 1 to {total}")
    if steps == 1:
        return [total - 1]
    return [round(index * (total - 1) / (steps - 1)) for index in reversed(range(steps))]


def ancestral(
    estimate: CleanEstimator,
    x: Tensor,
    diffusion: GaussianDiffusion,
    timesteps: Sequence[int],
    noise: Noise,
    on_done: OnDone | None = None,
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020) with the larger of the two variances, beta, on all steps or some of them.

    Args:
        estimate: the network.
        x: (B, ...) at ``timesteps[0]``.
        diffusion: the noise schedule.
        timesteps: the visited steps, descending; the betas between them follow from the schedule.
        noise: drawn from after every step but the last.
        on_done: called after each step.

    Returns:
        The clean sample that the last step ends at.
    """
    for done, (t, following) in enumerate(_pairs(timesteps), 1):
        now, after = diffusion.alpha_bar(t), diffusion.alpha_bar(following)
        alpha = now / after
        clean = estimate(x, _steps(x, t))
        mean = clean * (math.sqrt(after) * (1 - alpha) / (1 - now)) + x * (math.sqrt(alpha) * (1 - after) / (1 - now))
        x = mean + noise(x) * math.sqrt(1 - alpha) if following >= 0 else mean
        if on_done:
            on_done(done, len(timesteps))
    return x


def deterministic(
    estimate: CleanEstimator,
    x: Tensor,
    diffusion: GaussianDiffusion,
    timesteps: Sequence[int],
    on_done: OnDone | None = None,
) -> Tensor:
    """DDIM without noise (Song et al. 2021, equation 12); arguments as for :func:`ancestral`."""
    for done, (t, following) in enumerate(_pairs(timesteps), 1):
        now, after = diffusion.alpha_bar(t), diffusion.alpha_bar(following)
        clean = estimate(x, _steps(x, t))
        eps = (x - math.sqrt(now) * clean) / math.sqrt(1 - now)
        x = math.sqrt(after) * clean + math.sqrt(1 - after) * eps
        if on_done:
            on_done(done, len(timesteps))
    return x


def _pairs(timesteps: Sequence[int]) -> list[tuple[int, int]]:
    """Each step with the one after it; -1 is the clean end."""
    return list(zip(timesteps, [*timesteps[1:], -1], strict=True))


def _steps(x: Tensor, t: int) -> Tensor:
    return torch.full((len(x),), t, dtype=torch.long, device=x.device)
