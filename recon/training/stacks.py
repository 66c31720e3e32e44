"""Stacks of a few slices of a volume in physical units, from which a scan is simulated as the training goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from physics.ct.geometry import Geometry
from physics.ct.projector import Projector
from physics.ct.system_matrix import matrix_bytes
from priors.training.batches import Sample
from recon.acquisition.ct import projector_for
from recon.scan.padding import grown
from recon.scan.volume import Volume
from recon.training.patches import Augmentation, augment
from recon.training.prepared import Prepared

_CACHE_BYTES = 4 * 2**30

_EMPTY = -0.95  # below this is air, or the noise around a patient
_LEAST_FILLED = 0.02
_TRIES = 16


class StackSource:
    """Samples ``stack`` (slices, X, Y) in HU or magnitude, ``spacing`` (z, x, y) in mm.

    Args:
        volumes: prepared, of one modality.
        slices: the number of neighbouring slices in a stack.
        edge: pixels of a slice both ways; others are padded with air or cut at a random place.
        augmentation: the augmentation of every stack.
    """

    def __init__(self, volumes: Sequence[Prepared], slices: int, edge: int, augmentation: Augmentation):
        self._volumes, self._slices, self._edge, self._augmentation = volumes, slices, edge, augmentation
        self._index = [
            (number, first)
            for number, volume in enumerate(volumes)
            for first in range(0, max(1, volume.data.shape[0] - slices + 1), slices)
        ]

    def __len__(self) -> int:
        return len(self._index)

    def sample(self, item: int, seed: int) -> Sample:
        """One stack; another place of the same volume instead of one that is almost all air."""
        number, first = self._index[item]
        volume = self._volumes[number]
        random = torch.Generator().manual_seed(seed)
        stack = self._stack(volume, first, random)
        for _ in range(_TRIES):
            if float((stack > _EMPTY).float().mean()) > _LEAST_FILLED:
                break
            depth = max(1, volume.data.shape[0] - self._slices + 1)
            stack = self._stack(volume, int(torch.randint(depth, (), generator=random)), random)
        stack = augment(stack, self._augmentation, random)
        return {"stack": _from_linear(stack, volume), "spacing": torch.tensor(volume.spacing, dtype=torch.float64)}

    def _stack(self, volume: Prepared, first: int, random: torch.Generator) -> Tensor:
        """(slices, edge, edge) from a random place of some slices, in the scale of :func:`_to_linear`."""
        region = [slice(first, first + self._slices)]
        for size in volume.data.shape[1:]:
            start = int(torch.randint(max(size - self._edge, 0) + 1, (), generator=random))
            region.append(slice(start, start + self._edge))
        stack = _to_linear(volume.physical((region[0], region[1], region[2])), volume)
        return grown(stack, (self._slices, self._edge, self._edge)).clamp_min(-1)


def _to_linear(physical: Tensor, volume: Prepared) -> Tensor:
    """To the network range beyond its upper end: augmentation and padding know air as -1."""
    return physical / 1000 if volume.modality == "CT" else 2 * physical - 1


def _from_linear(image: Tensor, volume: Prepared) -> Tensor:
    return image * 1000 if volume.modality == "CT" else (image.clamp_min(-1) + 1) / 2


@dataclass
class ProjectorCache:
    """The most recently used projectors, as many as fit into ``max_bytes``; each knows its norm once it was asked."""

    max_bytes: int = _CACHE_BYTES
    _held: OrderedDict[tuple[object, ...], tuple[Projector, int]] = field(default_factory=OrderedDict)

    def projector(self, volume: Volume, geometry: Geometry, device: torch.device | str) -> Projector:
        """As :func:`recon.acquisition.ct.projector_for`."""
        key = (geometry, tuple(volume.data.shape[1:]), tuple(volume.spacing[1:]), str(device))
        if key not in self._held:
            made = projector_for(volume, geometry, device)
            size = matrix_bytes(made.geometry, made.grid, device=made.device)
            while self._held and size + sum(each for _, each in self._held.values()) > self.max_bytes:
                self._held.popitem(last=False)
            self._held[key] = (made, size)
        self._held.move_to_end(key)
        return self._held[key][0].stack(volume.data.shape[0])
