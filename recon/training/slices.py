"""Axial slices of volumes and of simulated scans, for networks in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from priors.training.batches import Sample
from recon.scan.padding import grown
from recon.training.pairs import StoredPair
from recon.training.patches import Augmentation, augment
from recon.training.prepared import Prepared

_EMPTY = -0.98  # a slice below this everywhere is air only


class SliceSource:
    """Slices ``target`` (1, X, Y) and ``input`` (conditions, X, Y), cropped and augmented alike, network range.

    Args:
        stacks: simulated scans; or volumes, which have no condition.
        crop: edge of the square that is cut out; smaller slices are padded with air.
        augmentation: the augmentation of every slice.
    """

    def __init__(self, stacks: Sequence[StoredPair | Prepared], crop: int, augmentation: Augmentation):
        self._stacks, self._crop, self._augmentation = stacks, crop, augmentation
        self._index = [(stack, z) for stack, each in enumerate(stacks) for z in range(_slices(each))]

    def __len__(self) -> int:
        return len(self._index)

    def sample(self, item: int, seed: int) -> Sample:
        """One slice; another one of the same volume in place of air."""
        number, z = self._index[item]
        random = torch.Generator().manual_seed(seed)
        images = _images(self._stacks[number], z)
        if float(images[-1].amax()) < _EMPTY:
            z = int(torch.randint(_slices(self._stacks[number]), (), generator=random))
            images = _images(self._stacks[number], z)
        images = augment(crop_square(images, self._crop, random), self._augmentation, random)
        return {"input": images[:-1], "target": images[-1:]}


def _slices(stack: StoredPair | Prepared) -> int:
    return stack.images.shape[1] if isinstance(stack, StoredPair) else stack.data.shape[0]


def _images(stack: StoredPair | Prepared, z: int) -> Tensor:
    """(conditions + 1, X, Y), the target last."""
    if isinstance(stack, StoredPair):
        return torch.from_numpy(np.ascontiguousarray(stack.images[:, z])).float()
    return stack.network((slice(z, z + 1), slice(None), slice(None)))


def crop_square(images: Tensor, edge: int, random: torch.Generator) -> Tensor:
    """A random square of (n, X, Y) images, padded with air where they are smaller."""
    images = grown(images, (len(images), edge, edge))
    x, y = (int(torch.randint(size - edge + 1, (), generator=random)) for size in images.shape[1:])
    return images[:, x : x + edge, y : y + edge]
