"""Samples of a latent prior that a ControlNet head steers (3D MedDiffusion, section III-C).

The head is shown images made from the measurement, encoded as in training; one latent is sampled and decoded. Sampling
begins from noise, as in the paper, or from the noised latent of the last image shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from priors.diffusion.latent_sampling import sample_latents
from priors.diffusion.prior import LatentPrior, NoisedStart, VoxelSize
from priors.diffusion.samplers import Correct, OnStep
from priors.networks.inference import Acceleration
from recon.errors import InputError, input_errors
from recon.scan.padding import centre, pad_to_multiple
from recon.scan.volume import Modality


@dataclass(frozen=True)
class Sampling:
    """How a sample is drawn.

    Attributes:
        steps: the number of steps of the sampler over the whole diffusion; a noised start runs its share of them.
        sampler: the name of the sampler, one of :data:`priors.diffusion.samplers.SAMPLERS`.
        start: the share of the diffusion that is run, from the latent of the last image shown; 1 begins from noise.
    """

    steps: int = 20
    sampler: str = "ddim"
    start: float = 1.0

    @property
    def own_steps(self) -> int:
        """The number of steps that are run."""
        return max(1, round(self.steps * self.start))

    def begin(self, prior: LatentPrior, latent: Tensor) -> NoisedStart | None:
        """The start from a latent (C, z, x, y); None begins from noise.

        Raises:
            InputError: more steps than the prior's diffusion has.
        """
        most = prior.diffusion.timesteps
        if self.own_steps > most:
            raise InputError(f"`steps` {self.steps}: {self.own_steps} would be run; the prior's diffusion has {most}")
        if self.start == 1:
            return None
        return NoisedStart(latent, max(round(self.start * (most - 1)), self.own_steps - 1))


@dataclass(frozen=True)
class Steered:
    """A prior that a head steers towards the images of one scan.

    Attributes:
        prior: the latent prior that the head was trained on.
        head: the head with its hint, as the prior takes it.
        latent: the latent of the last image shown, (1, C, z, x, y).
        size: the size (Z, X, Y) in voxels of the images shown.
        class_index: the index of the anatomy that the noise estimator is told.
        voxel_size: the voxel size (z, x, y) in mm of the images; None where it is not known.
        acceleration: the precision of the networks.
    """

    prior: LatentPrior
    head: Any
    latent: Tensor
    size: torch.Size
    class_index: int
    voxel_size: VoxelSize | None = None
    acceleration: Acceleration = field(default_factory=Acceleration)


@torch.no_grad()
def steer(
    prior: LatentPrior,
    head: nn.Module,
    images: Tensor,
    class_index: int,
    *,
    controlnet_scale: float = 1.0,
    voxel_size: VoxelSize | None = None,
    acceleration: Acceleration | None = None,
    allow_other_base: bool = False,
) -> Steered:
    """Encode what a head is shown, and attach the head to its prior.

    Args:
        prior: the latent prior that the head was trained on.
        head: the head's network, on the prior's device.
        images: the images shown, (n, Z, X, Y) in the network range.
        class_index: the index of the anatomy that the noise estimator is told.
        controlnet_scale: the factor on what the head adds; 1 as trained.
        voxel_size: the voxel size (z, x, y) in mm, for priors that are told it.
        acceleration: the precision of the networks; None is float32.
        allow_other_base: also accept a head that was trained on other weights of the prior.

    Raises:
        InputError: the prior is not the one that the head was trained on, or it was distilled to a few steps.
    """
    if prior.distilled is not None:
        raise InputError(
            f"`prior` {prior.name}: it was distilled to {prior.distilled.steps} steps, and no head was trained on it; "
            "leave `prior` out, or name the one that the head was trained on"
        )
    used = acceleration or Acceleration()
    hint = encode(prior, images, used)
    with input_errors("`weights`"):
        attached = prior.attach(head, hint, controlnet_scale, allow_other_base=allow_other_base)
    latent = hint[:, -prior.channels :]
    return Steered(prior, attached, latent, images.shape[1:], class_index, voxel_size, used)


@torch.no_grad()
def sample(
    steered: Steered,
    sampling: Sampling,
    seed: int,
    *,
    most_keys: int | None = None,
    correct: Correct | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """One decoded sample, (Z, X, Y) in about [-1, 1], on the CPU.

    Args:
        steered: the prior with its head.
        sampling: how the sample is drawn.
        seed: the seed of the noise.
        most_keys: the most latent voxels that each one attends to in decoding, see :meth:`LatentPrior.decode`.
        correct: a function that changes the sampler's estimates, see :func:`priors.diffusion.samplers.corrected`.
        on_step: called after each step of the sampler.

    Raises:
        InputError: more steps than the prior's diffusion has.
    """
    z, x, y = steered.latent.shape[2:]
    latent = sample_latents(
        steered.prior,
        steered.class_index,
        steered.prior.image_size((z, x, y)),
        steps=sampling.own_steps,
        sampler=sampling.sampler,
        seeds=[seed],
        voxel_size=steered.voxel_size,
        heads=[steered.head],
        start=sampling.begin(steered.prior, steered.latent[0]),
        acceleration=steered.acceleration,
        correct=correct,
        on_step=on_step,
    )
    return decode(steered, latent, most_keys)


def grid(prior: LatentPrior) -> int:
    """The number of voxels that edges are multiples of, such that a prior can encode and generate them."""
    return math.lcm(prior.size_multiple, prior.encoding_multiple)


def encode(prior: LatentPrior, images: Tensor, acceleration: Acceleration) -> Tensor:
    """Images (n, Z, X, Y) in the network range, grown to what the prior takes, as a hint (1, n · C, z, x, y)."""

    def latents(whole: Tensor) -> Tensor:
        return torch.cat([prior.encode(pad_to_multiple(each, grid(prior))[None, None]) for each in whole], dim=1)

    return acceleration.wrap(latents, prior.device)(images)


def decode(steered: Steered, latent: Tensor, most_keys: int | None = None) -> Tensor:
    """A latent (1, C, z, x, y) as an image (Z, X, Y) of the size of those shown, on the CPU."""
    decoder = partial(steered.prior.decode, most_keys=most_keys)
    volume = steered.acceleration.wrap(decoder, steered.prior.device)(latent)
    return centre(volume[0, 0].cpu(), steered.size)


def class_told(prior: LatentPrior, anatomy: int, modality: Modality) -> int:
    """The index of the anatomy that a noise estimator is told: ``anatomy``, or of -1 the usual one of the modality.

    Raises:
        InputError: a class that the prior does not have.
    """
    if anatomy < 0:
        return prior.default_class(modality)
    chosen = next((each for each in prior.anatomies if each.index == anatomy), None)
    if chosen is None:
        raise InputError(f"`anatomy` {anatomy}: the prior has the classes 0 to {len(prior.anatomies) - 1}")
    with input_errors(f"`anatomy` {anatomy} ({chosen.name})"):
        prior.check_class(chosen)
    return anatomy
