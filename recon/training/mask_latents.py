"""Latents of a training set with the segmentations that heads are shown of them, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.cache import Cache
from datasets.case import SEGMENTATION, Case
from datasets.identity import quick_identity
from priors.networks.patient import UNKNOWN, Patient
from priors.training.batches import Sample
from recon.acquisition.network_scale import network_axes
from recon.diffusion.mask_hint import classes_of, fractions, hint_of, with_body
from recon.errors import InputError
from recon.io.cases import read_case, read_segmentation
from recon.learned.mask_task import MaskTask
from recon.scan.body_mask import body_mask
from recon.scan.volume import Volume
from recon.training.latents import Encoding, Size, patient_sample
from recon.training.prepared import Prepared


def class_map(volume: Prepared, task: MaskTask, cache: Cache) -> np.ndarray:
    """The classes of a task in a volume, (Z, X, Y) uint8 on the prepared grid; memory-mapped.

    The case's segmentation is resampled by nearest neighbour where it lies on another grid. Labels that the task does
    not know are background, or body where the head is told that.

    Raises:
        InputError: the case has no usable segmentation.
    """

    def make() -> tuple[np.ndarray, dict[str, object]]:
        found = read_case(volume.case)
        assert isinstance(found, Volume)
        labels = network_axes(read_segmentation(volume.case, found).data)
        if labels.shape != volume.data.shape:
            raise InputError(f"{volume.case.path}: its segmentation has another size than the prepared volume")
        classes = classes_of(labels, task)
        if task.body is not None:
            hu = torch.from_numpy(np.array(volume.data, dtype=np.float32))
            classes = with_body(classes, body_mask(hu), task)
        return classes.contiguous().numpy(), {}

    settings = {"task": task.to_dict() | {"pooling": ""}, "segmentation": _identity(volume.case)}
    return cache.entry(volume.case, "classes-1", settings, make).array


def _identity(case: Case) -> object:
    """What tells a segmentation's file from one that replaces it; of a generated case, its own identity does."""
    path = case.details.get(SEGMENTATION)
    return quick_identity(Path(path)) if path else None


@dataclass(frozen=True)
class StoredMask:
    """A volume's latent and what a head is shown of its segmentation, memory-mapped.

    Attributes:
        latent: (C, z, x, y) float16, in about [-1, 1].
        hint: (hint channels, z, x, y) float16.
        shares: (classes, z, x, y) float16, the share of each class in each latent voxel.
        class_index: the class index of the anatomy.
        patient: age and sex of the person that the volume shows, as far as they are known.
    """

    latent: np.ndarray
    hint: np.ndarray
    shares: np.ndarray
    class_index: int
    patient: Patient = UNKNOWN


def stored_mask(volume: Prepared, task: MaskTask, encoding: Encoding, class_index: int, *, flip: bool) -> StoredMask:
    """A volume, or its mirror image, with its segmentation.

    Raises:
        InputError: the case has no usable segmentation.
    """
    latent = encoding.volume_latent(volume, class_index, flip=flip).latents
    factor = encoding.autoencoder.compression

    def classes() -> Tensor:
        found = torch.from_numpy(np.array(class_map(volume, task, encoding.cache)))
        return encoding.padded(found.flip(1) if flip else found, air=0)

    def shares() -> tuple[np.ndarray, dict[str, object]]:
        return _half(fractions(classes(), len(task.numbers), factor)), {}

    def hint() -> tuple[np.ndarray, dict[str, object]]:
        return _half(hint_of(task, classes(), factor, encoding.latent)), {}

    known = {"task": task.to_dict(), "segmentation": _identity(volume.case), "flip": flip}
    settings = encoding.settings | known
    kept = encoding.cache.entry(volume.case, "mask-shares-1", settings, shares).array
    if task.pooling == "fractions":
        return StoredMask(latent, kept, kept, class_index)
    shown = encoding.cache.entry(volume.case, "mask-hint-1", settings, hint).array
    return StoredMask(latent, shown, kept, class_index)


def _half(values: Tensor) -> np.ndarray:
    return values.to(torch.float16).cpu().numpy()


class MaskSource:
    """Crops of latents with their segmentations: ``latent`` (C, z, x, y), ``hint`` (hint channels, z, x, y), ``class``
    (), ``weight`` (1, z, x, y) where some label counts for more, and ``age`` and ``sex`` where they are asked for.

    Args:
        stored: latents of volumes with their segmentations.
        crop: (z, x, y) latent voxels of the crop; smaller latents are refused.
        weights: the weight of the loss where a latent voxel touches a class, by the class's index.
        per_volume: crops of one volume in an epoch.
        around_labels: the share of the crops that are centred on a voxel of a label.
        first_label: the index of the first class that is a label.
        told_patient: whether samples say age and sex; see :func:`recon.training.latents.patient_sample`.

    Raises:
        ValueError: a latent is smaller than the crop.
    """

    def __init__(
        self,
        stored: Sequence[StoredMask],
        crop: Size,
        weights: Mapping[int, float],
        per_volume: int = 1,
        *,
        around_labels: float = 0.0,
        first_label: int = 1,
        told_patient: bool = False,
    ):
        self._told_patient = told_patient
        self._stored, self._crop, self._weights, self._per_volume = stored, crop, weights, per_volume
        self._around, self._first = around_labels, first_label
        for each in stored:
            if any(size < want for size, want in zip(each.latent.shape[1:], crop, strict=True)):
                raise ValueError(
                    f"a latent of {each.latent.shape[1:]} is smaller than the crop {crop}; make it smaller"
                )
        self._places = [np.argwhere(each.shares[first_label:].any(0)) for each in stored] if around_labels else []

    def __len__(self) -> int:
        return len(self._stored) * self._per_volume

    def sample(self, item: int, seed: int) -> Sample:
        """One crop."""
        number = item % len(self._stored)
        stored = self._stored[number]
        region = (slice(None), *self._region(number, torch.Generator().manual_seed(seed)))
        shares = _read(stored.shares, region)
        sample = {
            "latent": _read(stored.latent, region),
            "hint": _read(stored.hint, region),
            "class": torch.tensor(stored.class_index),
        }
        sample |= patient_sample(stored.patient) if self._told_patient else {}
        return sample | ({"weight": self._weight(shares)} if self._weights else {})

    def _region(self, number: int, random: torch.Generator) -> list[slice]:
        size = self._stored[number].latent.shape[1:]
        room = [have - want for have, want in zip(size, self._crop, strict=True)]
        firsts = [int(torch.randint(free + 1, (), generator=random)) for free in room]
        if self._around and float(torch.rand((), generator=random)) < self._around and len(self._places[number]):
            places = self._places[number]
            middle = places[int(torch.randint(len(places), (), generator=random))]
            firsts = [
                int(np.clip(at - want // 2, 0, free)) for at, want, free in zip(middle, self._crop, room, strict=True)
            ]
        return [slice(first, first + edge) for first, edge in zip(firsts, self._crop, strict=True)]

    def _weight(self, shares: Tensor) -> Tensor:
        """(1, z, x, y): the largest weight of the classes that touch each latent voxel, 1 where none has one."""
        weight = torch.ones_like(shares[:1])
        for index, value in self._weights.items():
            weight = torch.maximum(weight, torch.where(shares[index : index + 1] > 0, value, 1.0))
        return weight


def _read(array: np.ndarray, region: tuple[slice, ...]) -> Tensor:
    return torch.from_numpy(np.array(array[region], dtype=np.float32))
