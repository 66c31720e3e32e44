"""Images grown to sizes that networks take, and cut back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

AIR = -1.0
"""Air in the network range."""


def grown(image: Tensor, size: Sequence[int], air: float = AIR) -> Tensor:
    """A (Z, X, Y) image of at least ``size``, grown on both sides: by air in the plane, by its end slices along z.

    Around a slice there is air; a scan's first and last slice are no ends of the patient. A map of labels has its
    background where images have air.
    """
    missing = [max(0, want - have) for want, have in zip(size, image.shape, strict=True)]
    below, left, front = (gap // 2 for gap in missing)
    above, right, back = (gap - gap // 2 for gap in missing)
    if left or right or front or back:
        image = functional.pad(image, (front, back, left, right), value=air)
    if not (below or above):
        return image
    return torch.cat([image[:1].expand(below, -1, -1), image, image[-1:].expand(above, -1, -1)])


def pad_to_multiple(image: Tensor, multiple: int, air: float = AIR) -> Tensor:
    """A (Z, X, Y) image :func:`grown` to whole multiples, such as whole patches."""
    return grown(image, [-(-size // multiple) * multiple for size in image.shape], air)


def centre(image: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of a padded (Z, X, Y) image; undoes ``grown``."""
    z, x, y = ((have - want) // 2 for have, want in zip(image.shape, size, strict=True))
    return image[z : z + size[0], x : x + size[1], y : y + size[2]]
