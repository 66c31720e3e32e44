"""From noise to latents: plain functions on a noise estimator.

All take ``(estimate, z, diffusion, timesteps)``: z at the first (noisiest) of the descending ``timesteps``, any of
them, and end at zero noise. A noised start is ``z = diffusion.q_sample(z0, t, noise)`` with
``spaced_timesteps(total, steps, start=t)``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from priors.diffusion.schedule import GaussianDiffusion

NoiseEstimator = Callable[[Tensor, Tensor], Tensor]
"""(z_t (B, C, Z, X, Y), t (B,) long) -> the noise in z_t."""

Noise = Callable[[Tensor], Tensor]
"""Standard normal noise of a tensor's shape, device and type."""

OnStep = Callable[[int, int, Tensor, Tensor], None]
"""Called after each step with (steps done, steps in all, z, estimate of z_0)."""

Spacing = Literal["linspace", "leading", "trailing", "logsnr"]
SPACINGS: tuple[Spacing, ...] = ("linspace", "leading", "trailing", "logsnr")
SAMPLERS = ("ddim", "ddpm", "dpm++")
"""Names that :func:`sample` takes."""

# Log signal-to-noise ratios below this are one for the spacing: a cosine schedule's last steps differ by several
# units there, and steps would be spent where z is noise in all of them (Lu et al. 2022, DPM-Solver++, use it too).
_LOWEST_LOG_SNR = -5.1


def spaced_timesteps(
    total: int,
    steps: int,
    spacing: Spacing = "linspace",
    start: int | None = None,
    diffusion: GaussianDiffusion | None = None,
) -> Tensor:
    """``steps`` different steps, descending, long.

    Args:
        total: steps of the diffusion.
        steps: how many to take.
        spacing: ``linspace`` from ``start`` to 0, both included, rounded down (one step: ``start``);
            ``leading`` from 0 up by equal whole steps, ``trailing`` from ``start`` down by equal steps;
            ``logsnr`` from ``start`` to 0 evenly in log(sqrt(abar / (1 - abar))).
        start: the first, noisiest step; the diffusion's last if None.
        diffusion: whose signal-to-noise ratio ``logsnr`` follows; the default schedule if None.

    Raises:
        ValueError: no such spacing or start, or fewer than one or more than ``start`` + 1 steps.
    """
    first = total - 1 if start is None else start
    if not 0 <= first < total:
        raise ValueError(f"a start at step {first}; it must be 0 to {total - 1}")
    if not 1 <= steps <= first + 1:
        raise ValueError(f"{steps} steps from step {first}; 1 to {first + 1} are possible")
    if spacing == "linspace":
        times = [index * first // (steps - 1) for index in range(steps)] if steps > 1 else [first]
    elif spacing == "leading":
        times = [index * ((first + 1) // steps) for index in range(steps)]
    elif spacing == "trailing":
        times = [round((index + 1) * (first + 1) / steps) - 1 for index in range(steps)]
    elif spacing == "logsnr":
        times = _even_log_snr(diffusion or GaussianDiffusion(total), steps, first)
    else:
        raise ValueError(f"no spacing {spacing!r}; one of {', '.join(SPACINGS)}")
    return torch.tensor(times[::-1])


def _even_log_snr(diffusion: GaussianDiffusion, steps: int, first: int) -> list[int]:
    """Ascending steps whose log signal-to-noise ratios lie nearest to even ones, moved apart where two coincide."""
    if steps == 1:
        return [first]
    ratios = torch.tensor([max(_log_snr(diffusion.alpha_bar(t)), _LOWEST_LOG_SNR) for t in range(first + 1)])
    wanted = torch.linspace(float(ratios[0]), float(ratios[-1]), steps)
    times: list[int] = (ratios[None] - wanted[:, None]).abs().argmin(1).tolist()
    times[-1] = first
    for index in range(1, steps):
        times[index] = max(times[index], times[index - 1] + 1)
    for index in range(steps):
        times[index] = min(times[index], first - (steps - 1 - index))
    return times


def seeded_noise(seeds: Sequence[int]) -> Noise:
    """One stream of noise for each sample of a batch, drawn on the CPU.

    A seed gives the same noise whatever the other seeds of the batch and whatever the device.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(like: Tensor) -> Tensor:
        if len(like) != len(generators):
            raise ValueError(f"{len(generators)} seeds for a batch of {len(like)}")
        return torch.stack([torch.randn(like.shape[1:], generator=each) for each in generators]).to(like)

    return draw


Correct = Callable[[Tensor, int], Tensor]
"""(estimate of z_0, t) -> a better one, such as one that agrees with a measurement."""


def corrected(estimate: NoiseEstimator, diffusion: GaussianDiffusion, correct: Correct) -> NoiseEstimator:
    """A noise estimator whose estimate of z_0 is replaced by ``correct``'s; any sampler can use it.

    The noise is then what leads from the corrected z_0 to z_t.
    """

    def improved(z: Tensor, t: Tensor) -> Tensor:
        step = int(t[0])
        kept = diffusion.alpha_bar(step)
        noise = estimate(z, t)
        z0 = (z - math.sqrt(1 - kept) * noise) / math.sqrt(kept)
        better = correct(z0, step)
        return noise if better is z0 else (z - math.sqrt(kept) * better) / math.sqrt(1 - kept)

    return improved


def sample(
    name: str,
    estimate: NoiseEstimator,
    z: Tensor,
    diffusion: GaussianDiffusion,
    timesteps: Tensor,
    *,
    noise: Noise,
    clip: float | None = 1.0,
    on_step: OnStep | None = None,
) -> Tensor:
    """The sampler called ``name``, one of ``SAMPLERS``, with its defaults; see there.

    Raises:
        ValueError: no such sampler.
    """
    if name == "ddpm":
        return ddpm(estimate, z, diffusion, timesteps, noise=noise, clip=clip, on_step=on_step)
    if name == "ddim":
        return ddim(estimate, z, diffusion, timesteps, clip=clip, on_step=on_step)
    if name == "dpm++":
        return dpm_solver_pp_2m(estimate, z, diffusion, timesteps, clip=clip, on_step=on_step)
    raise ValueError(f"no sampler {name!r}; one of {', '.join(SAMPLERS)}")


def ddpm(
    estimate: NoiseEstimator,
    z: Tensor,
    diffusion: GaussianDiffusion,
    timesteps: Tensor,
    *,
    noise: Noise,
    clip: float | None = 1.0,
    on_step: OnStep | None = None,
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020) with the posterior's variance, on all steps or on some of them.

    Args:
        estimate: the noise estimator.
        z: (B, C, Z, X, Y) at ``timesteps[0]``.
        diffusion: the schedule.
        timesteps: (n,) descending.
        noise: drawn from after every step but the last.
        clip: estimates of z_0 are held within ± this; None: not at all.
        on_step: called after each step.
    """
    moves = list(_moves(diffusion, timesteps))
    for done, (t, now, after) in enumerate(moves, 1):
        x0, _ = _estimates(estimate, z, t, now, clip)
        alpha = now / after
        z = x0 * (math.sqrt(after) * (1 - alpha) / (1 - now)) + z * (math.sqrt(alpha) * (1 - after) / (1 - now))
        if done < len(moves):
            z = z + noise(z) * math.sqrt((1 - alpha) * (1 - after) / (1 - now))
        _tell(on_step, done, len(moves), z, x0)
    return z


def ddim(
    estimate: NoiseEstimator,
    z: Tensor,
    diffusion: GaussianDiffusion,
    timesteps: Tensor,
    *,
    eta: float = 0.0,
    noise: Noise | None = None,
    clip: float | None = 1.0,
    official_last_step: bool = False,
    official_eta: bool = False,
    on_step: OnStep | None = None,
) -> Tensor:
    """DDIM (Song et al. 2021, equation 12); the noise estimate is kept as it is where z_0's is clipped.

    Args:
        estimate: the noise estimator.
        z: (B, C, Z, X, Y) at ``timesteps[0]``.
        diffusion: the schedule.
        timesteps: (n,) descending.
        eta: 0 adds no noise, 1 as much as DDPM.
        noise: drawn from after each step if ``eta`` is not 0.
        clip: estimates of z_0 are held within ± this; None: not at all.
        official_last_step: end at step 0's noise level, as the official code does, not at zero noise.
        official_eta: keep the whole direction towards z_t where noise is added, as the official code does; the
            variance is then too large.
        on_step: called after each step.

    Raises:
        ValueError: ``eta`` without ``noise``.
    """
    if eta and noise is None:
        raise ValueError(f"eta is {eta:g}, which adds noise; give a source of noise")
    moves = list(_moves(diffusion, timesteps, diffusion.alpha_bar(0) if official_last_step else 1.0))
    for done, (t, now, after) in enumerate(moves, 1):
        x0, eps = _estimates(estimate, z, t, now, clip)
        sigma = eta * math.sqrt((1 - after) / (1 - now) * (1 - now / after))
        direction = 1 - after if official_eta else 1 - after - sigma**2
        z = x0 * math.sqrt(after) + eps * math.sqrt(max(direction, 0.0))
        if noise is not None and sigma:
            z = z + noise(z) * sigma
        _tell(on_step, done, len(moves), z, x0)
    return z


def dpm_solver_pp_2m(
    estimate: NoiseEstimator,
    z: Tensor,
    diffusion: GaussianDiffusion,
    timesteps: Tensor,
    *,
    clip: float | None = 1.0,
    on_step: OnStep | None = None,
) -> Tensor:
    """DPM-Solver++ 2M (Lu et al. 2022, algorithm 2): DDIM's path in second order, from two estimates of z_0.

    The first step and the last, to zero noise, are of first order.

    Args:
        estimate: the noise estimator.
        z: (B, C, Z, X, Y) at ``timesteps[0]``.
        diffusion: the schedule.
        timesteps: (n,) descending.
        clip: estimates of z_0 are held within ± this; None: not at all.
        on_step: called after each step.
    """
    moves = list(_moves(diffusion, timesteps))
    before: Tensor | None = None  # the estimate of z_0 one step ago,
    width_before = 0.0  # and how far that step went in log signal-to-noise ratio
    for done, (t, now, after) in enumerate(moves, 1):
        x0, _ = _estimates(estimate, z, t, now, clip)
        width = _log_snr(after) - _log_snr(now)
        target = x0
        if before is not None and math.isfinite(width):
            target = x0 + (x0 - before) * (width / (2 * width_before))
        z = z * math.sqrt((1 - after) / (1 - now)) - target * (math.sqrt(after) * math.expm1(-width))
        before, width_before = x0, width
        _tell(on_step, done, len(moves), z, x0)
    return z


def _moves(diffusion: GaussianDiffusion, timesteps: Tensor, last: float = 1.0) -> Iterator[tuple[int, float, float]]:
    """(t, abar now, abar after the step) for each step; ``last`` is abar after the last."""
    times: list[int] = timesteps.tolist()
    ascending = [-1, *reversed(times), diffusion.timesteps]
    if not times or any(a >= b for a, b in itertools.pairwise(ascending)):
        raise ValueError(f"timesteps must descend within {diffusion.timesteps - 1} to 0")
    for t, following in zip(times, [*times[1:], None], strict=True):
        yield t, diffusion.alpha_bar(t), last if following is None else diffusion.alpha_bar(following)


def _estimates(
    estimate: NoiseEstimator, z: Tensor, t: int, alpha_bar: float, clip: float | None
) -> tuple[Tensor, Tensor]:
    """The estimates of z_0, clipped, and of the noise."""
    eps = estimate(z, torch.full((len(z),), t, dtype=torch.long, device=z.device))
    x0 = z * math.sqrt(1 / alpha_bar) - eps * math.sqrt(1 / alpha_bar - 1)
    return (x0 if clip is None else x0.clamp(-clip, clip)), eps


def _log_snr(alpha_bar: float) -> float:
    """log(sqrt(abar / (1 - abar))), half the log of the signal-to-noise ratio; infinite without noise."""
    return math.inf if alpha_bar == 1 else 0.5 * math.log(alpha_bar / (1 - alpha_bar))


def _tell(on_step: OnStep | None, done: int, total: int, z: Tensor, x0: Tensor) -> None:
    if on_step is not None:
        on_step(done, total, z, x0)
