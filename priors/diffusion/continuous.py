"""Diffusion in continuous time with estimates of the clean volume, as MedSyn has it (Xu et al. 2024).

z_t = sqrt(abar(t)) x + sqrt(1 - abar(t)) noise for times t from 0 to 1, abar the cosine schedule of Nichol and Dhariwal
(2021). Networks are told 1000 t.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from priors.diffusion.samplers import OnStep

Estimate = Callable[[Tensor, Tensor], Tensor]
"""(z_t (B, C, Z, X, Y), 1000 t (B,)) -> the clean volume in z_t."""

TOLD = 1000
"""What networks are told of time 1."""

_OFFSET = 0.008
_LEAST = 1e-4
"""Least share of signal, and of noise, in the variance of z_t."""


def alpha_bar(t: Tensor) -> Tensor:
    """The share of signal in the variance of z_t at times t; the clean end is at 0 and below."""
    signal = torch.cos((t + _OFFSET) / (1 + _OFFSET) * math.pi / 2).square()
    return torch.where(t < 0, torch.ones_like(signal), signal).clamp(_LEAST, 1 - _LEAST)


def noised(x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Noisy volumes: (B, ...) ``x0`` and ``noise``, (B,) times."""
    kept = alpha_bar(t).view(-1, *[1] * (x0.ndim - 1))
    return kept.sqrt() * x0 + (1 - kept).sqrt() * noise


def ddim_step(z: Tensor, x0: Tensor, t: Tensor, following: Tensor) -> Tensor:
    """z at time ``following`` (B,), from z at time ``t`` (B,) and the clean volume in it (Song et al. 2021)."""
    shape = (-1, *[1] * (z.ndim - 1))
    now, after = alpha_bar(t).view(shape), alpha_bar(following).view(shape)
    noise = (z - now.sqrt() * x0) / (1 - now).sqrt()
    return after.sqrt() * x0 + (1 - after).sqrt() * noise


def ddim_times(steps: int) -> list[float]:
    """The times at which a network is asked, descending from 1; the last is one step from the clean end.

    Raises:
        ValueError: fewer than one step, or more than networks are told apart.
    """
    if not 1 <= steps <= TOLD:
        raise ValueError(f"`steps` {steps}: must be 1 to {TOLD}")
    return [1 - index / steps for index in range(steps)]


def ddim(
    estimate: Estimate, z: Tensor, times: Sequence[float], *, clip: float = 1.0, on_step: OnStep | None = None
) -> Tensor:
    """From noise to volumes; the estimate at the last time is the result.

    Args:
        estimate: the estimator of clean volumes.
        z: (B, C, Z, X, Y) at ``times[0]``.
        times: those of :func:`ddim_times`.
        clip: estimates are held within ± this.
        on_step: called after each step.
    """
    for done, (t, following) in enumerate(itertools.pairwise([*times, None]), 1):
        now = torch.full((len(z),), t or 0.0, dtype=torch.float32, device=z.device)
        x0 = estimate(z, TOLD * now).clamp(-clip, clip)
        z = x0 if following is None else ddim_step(z, x0, now, torch.full_like(now, following))
        if on_step is not None:
            on_step(done, len(times), z, x0)
    return z


def guided(with_text: Tensor, without: Tensor, scale: float) -> Tensor:
    """The estimate of classifier-free guidance (Ho and Salimans 2022).

    At one z_t the noise is a linear function of the clean volume, so that a mix of two estimates of the one is the same
    mix of those of the other.

    Args:
        with_text: the estimate told the text.
        without: the estimate told no text.
        scale: 1 is the first of the two alone; the official training script takes 2, its evaluation 1.
    """
    return without + scale * (with_text - without)
