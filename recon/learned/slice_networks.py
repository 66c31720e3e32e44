"""Two-dimensional networks on volumes, slice by slice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from priors.diffusion.image_prior import EpsilonModel
from priors.diffusion.samplers import ddim, seeded_noise, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_unet import ADMUNet
from priors.networks.padding import pad_to_multiple
from priors.training.batches import derived_seed
from recon.errors import input_errors

_BATCH_PIXELS = {"cpu": 2**16, "cuda": 2**21}
"""Pixels of a batch of slices: on the CPU one slice of 256², which stays in its cache and takes half the time of
eight at once; enough to keep a GPU busy."""


def batch_of(device: torch.device, pixels: int) -> int:
    """How many slices of so many pixels a network is given at once."""
    return max(1, _BATCH_PIXELS.get(device.type, 2**16) // pixels)


@torch.no_grad()
def run_slices(
    network: nn.Module, images: Tensor, multiple: int = 1, on_progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Every axial slice through a network.

    Args:
        network: (B, n, X, Y) to (B, 1, X, Y), in eval mode.
        images: (n, Z, X, Y) in the network range, on any device.
        multiple: edges that the network takes are multiples of this.
        on_progress: called with the slices done and all slices.

    Returns:
        (Z, X, Y) float32 in [-1, 1] on the CPU.

    Raises:
        InputError: the image is too small for the network.
    """
    device = next(network.parameters()).device
    stacks = images.transpose(0, 1)
    outputs: list[Tensor] = []
    for batch in stacks.split(batch_of(device, images[0, 0].numel())):
        padded, inside = pad_to_multiple(batch.to(device), multiple)
        with input_errors("`method`"):
            made = network(padded)
        outputs.append(made[:, 0, *inside].float().clamp(-1, 1).cpu())
        if on_progress:
            on_progress(sum(map(len, outputs)), len(stacks))
    return torch.cat(outputs)


@torch.no_grad()
def sample_slices(net: ADMUNet, diffusion: GaussianDiffusion, images: Tensor, steps: int, seed: int = 0) -> Tensor:
    """Every axial slice sampled under its conditions by DDIM; the measurement is not consulted.

    Args:
        net: conditional, in eval mode.
        diffusion: the schedule that it was trained with.
        images: (n, Z, X, Y) conditions in the network range.
        steps: the steps of the sampler.
        seed: the seed of the noise.

    Returns:
        (Z, X, Y) float32 in [-1, 1] on the CPU.
    """
    device = next(net.parameters()).device
    model, times = EpsilonModel(net, diffusion.to(device)), spaced_timesteps(diffusion.timesteps, steps)
    outputs: list[Tensor] = []
    for batch in images.transpose(0, 1).split(batch_of(device, images[0, 0].numel())):
        condition, inside = pad_to_multiple(batch.to(device), net.config.size_multiple)
        done = sum(map(len, outputs))
        noise = seeded_noise([derived_seed(seed, done + place) for place in range(len(batch))])
        z = noise(condition[:, :1])

        def estimate(x: Tensor, t: Tensor, condition: Tensor = condition) -> Tensor:
            return model.eps(x, t, condition)

        outputs.append(ddim(estimate, z, diffusion, times)[:, 0, *inside].float().clamp(-1, 1).cpu())
    return torch.cat(outputs)
