"""What learners draw for a batch, each sample from a generator of its own: parts of it, noise, and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from priors.diffusion.anatomy import Size


def random_parts(random: Sequence[torch.Generator], size: Size | None, *volumes: Tensor) -> list[Tensor]:
    """A random part of each sample, at the same place in all volumes.

    Args:
        random: one generator of random numbers for each sample.
        size: the size (z, x, y) in voxels of the parts; None is everything.
        volumes: (B, C, Z, X, Y), of one size.

    Returns:
        (B, C, z, x, y) of each.

    Raises:
        ValueError: volumes that are smaller than the part.
    """
    if size is None:
        return list(volumes)
    places = [_place(volumes[0].shape[2:], size, each) for each in random]
    return [torch.stack([one[place] for one, place in zip(each, places, strict=True)]) for each in volumes]


def _place(whole: torch.Size, size: Size, random: torch.Generator) -> tuple[slice, ...]:
    sides = [slice(None)]
    for edge, wanted in zip(whole, size, strict=True):
        if edge < wanted:
            raise ValueError(f"a sample of size {tuple(whole)} is smaller than the part {tuple(size)} of it")
        first = int(torch.randint(edge - wanted + 1, (), generator=random, device=random.device))
        sides.append(slice(first, first + wanted))
    return tuple(sides)


def normal_noise(random: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Standard normal noise of the shape, type and device of ``like`` (B, ...), one generator for each sample."""
    each = [torch.randn(like.shape[1:], generator=one, device=like.device, dtype=like.dtype) for one in random]
    return torch.stack(each)


def uniform_numbers(random: Sequence[torch.Generator], device: torch.device) -> Tensor:
    """(B,) float32 numbers from 0 to 1, one generator for each sample."""
    return torch.stack([torch.rand((), generator=each, device=device) for each in random])
