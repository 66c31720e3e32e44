"""Random parts of samples, for networks that learn from less than a whole volume at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from priors.diffusion.anatomy import Size


def random_parts(random: Sequence[torch.Generator], size: Size | None, *volumes: Tensor) -> list[Tensor]:
    """A random part of each sample, at the same place in all volumes.

    Args:
        random: one generator for each sample.
        size: the size (z, x, y) in voxels of the parts; None is everything.
        volumes: (B, C, Z, X, Y), of one size.
    """
    if size is None:
        return list(volumes)
    places = [_place(volumes[0].shape[2:], size, each) for each in random]
    return [torch.stack([one[place] for one, place in zip(each, places, strict=True)]) for each in volumes]


def _place(whole: torch.Size, size: Size, random: torch.Generator) -> tuple[slice, ...]:
    sides = [slice(None)]
    for edge, wanted in zip(whole, size, strict=True):
        first = int(torch.randint(edge - wanted + 1, (), generator=random, device=random.device))
        sides.append(slice(first, first + wanted))
    return tuple(sides)
