"""New latents and volumes from any latent prior (:class:`priors.diffusion.prior.LatentPrior`).

3D MedDiffusion, section III-B: noise becomes latents by the reverse diffusion, and these are decoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from priors.diffusion.anatomy import Size
from priors.diffusion.distilled import SPACING
from priors.diffusion.prior import LatentPrior, NoisedStart, VoxelSize
from priors.diffusion.samplers import Correct, OnStep, Spacing, corrected, sample, seeded_noise, spaced_timesteps
from priors.networks.inference import Acceleration
from priors.networks.patient import UNKNOWN, Patient

USUAL_STEPS = 50
"""Steps of a sampler where nothing is said, of priors that were not distilled."""


def usual_steps(prior: LatentPrior) -> int:
    """The number of steps of a sampler where nothing is said."""
    return USUAL_STEPS if prior.distilled is None else prior.distilled.steps


def sampling_steps(
    prior: LatentPrior, sampler: str, steps: int, spacing: Spacing | None = None, start: int | None = None
) -> Tensor:
    """The steps of the diffusion that a sampler visits, descending, from ``start`` or the noisiest.

    Spacing None is the released networks' own for DDIM and DDPM (``linspace``), and for DPM-Solver++ ``logsnr``: its
    second order is lost where the last steps are large in log signal-to-noise ratio. A distilled prior has steps of its
    own.

    Raises:
        ValueError: more steps than the diffusion has, or none; or steps that a distilled prior was not made for.
    """
    if prior.distilled is not None:
        prior.distilled.check(sampler, steps, spacing)
        spacing = SPACING
    chosen = spacing or ("logsnr" if sampler == "dpm++" else "linspace")
    return spaced_timesteps(prior.diffusion.timesteps, steps, chosen, start, prior.diffusion)


@torch.no_grad()
def sample_latents(
    prior: LatentPrior,
    class_index: int,
    size: Size,
    *,
    steps: int | None = None,
    sampler: str = "ddim",
    seeds: Sequence[int] = (0,),
    spacing: Spacing | None = None,
    voxel_size: VoxelSize | None = None,
    heads: Sequence[Any] = (),
    patient: Patient = UNKNOWN,
    guidance: float = 1.0,
    start: NoisedStart | None = None,
    correct: Correct | None = None,
    acceleration: Acceleration | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Latents of new volumes, one for each seed, on the networks' device.

    A seed gives the same latents on every device and in every batch, to rounding; alone it gives exactly the same.

    Args:
        prior: the latent prior to sample.
        class_index: the index of the class, see :mod:`priors.diffusion.anatomy`.
        size: the size (z, x, y) in voxels of the volumes (not of the latents).
        steps: the number of steps; None is the usual one of the prior.
        sampler: ``ddim``, ``ddpm`` or ``dpm++``.
        seeds: one seed for each volume.
        spacing: the spacing of the steps that are visited, see :func:`sampling_steps`.
        voxel_size: the voxel size (z, x, y) in mm, for priors that are told it.
        heads: heads that steer the estimate, as :meth:`LatentPrior.attach` gives them.
        patient, guidance: age and sex, and the scale of the guidance by them, see :meth:`LatentPrior.estimator`.
        start: the latent to begin from; None is noise alone.
        correct: a function that takes and gives estimates of the latents, see
            :func:`priors.diffusion.samplers.corrected`.
        acceleration: the precision and layout of the noise estimator; None is exact.
        on_step: called after each step.

    Returns:
        (B, C, z, x, y) float32.

    Raises:
        ValueError: a size, class, sampler or number of steps that the prior does not have.
    """
    latent = prior.latent_size(size)
    times = sampling_steps(prior, sampler, steps or usual_steps(prior), spacing, start.step if start else None)
    estimate = prior.estimator(
        class_index,
        size,
        batch=len(seeds),
        voxel_size=voxel_size,
        heads=heads,
        patient=patient,
        guidance=guidance,
        acceleration=acceleration,
    )
    if correct is not None:
        estimate = corrected(estimate, prior.diffusion, correct)
    noise = seeded_noise(seeds)
    z = noise(torch.empty(len(seeds), prior.channels, *latent, device=prior.device))
    if start is not None:
        kept = prior.diffusion.alpha_bar(start.step)
        z = math.sqrt(kept) * start.latent.to(z) + math.sqrt(1 - kept) * z
    return sample(sampler, estimate, z, prior.diffusion, times, noise=noise, clip=prior.latent_limit, on_step=on_step)


def generate(
    prior: LatentPrior,
    class_index: int,
    size: Size,
    *,
    steps: int | None = None,
    sampler: str = "ddim",
    seeds: Sequence[int] = (0,),
    spacing: Spacing | None = None,
    voxel_size: VoxelSize | None = None,
    heads: Sequence[Any] = (),
    acceleration: Acceleration | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """New volumes, (B, 1, Z, X, Y) float32 in about [-1, 1]: :func:`sample_latents`, then the prior decodes."""
    latents = sample_latents(
        prior,
        class_index,
        size,
        steps=steps,
        sampler=sampler,
        seeds=seeds,
        spacing=spacing,
        voxel_size=voxel_size,
        heads=heads,
        acceleration=acceleration,
        on_step=on_step,
    )
    return prior.decode(latents)
