"""Volumes as a classifier sees them: whole, on one grid, in one window; and samples with as many of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datasets.cache import Cache
from priors.training.batches import Sample
from recon.training.patches import augment
from recon.training.prepared import Prepared
from recon.training.settings.classifier import ClassifierTask
from recon.training.sources import TrainingVolume


def class_image(volume: Prepared, settings: ClassifierTask, cache: Cache) -> np.ndarray:
    """A volume (z, x, y) in [-1, 1] as float16, memory-mapped: averaged where it is finer than the grid.

    Args:
        volume: the prepared volume.
        settings: size and window.
        cache: the cache that keeps it.
    """

    def make() -> tuple[np.ndarray, dict[str, object]]:
        return _on_grid(_windowed(volume, settings.window), settings.size).to(torch.float16).numpy(), {}

    facts = {"size": list(settings.size), "window": list(settings.window), "values": volume.sha256}
    return cache.entry(volume.case, "class-image-1", facts, make).array


def _windowed(volume: Prepared, window: tuple[float, float]) -> Tensor:
    if volume.modality == "MR":
        return volume.network()
    low, high = window
    hu = volume.physical((slice(None),) * 3)
    return (hu.clamp(low, high) - low) * (2 / (high - low)) - 1


def _on_grid(image: Tensor, size: tuple[int, int, int]) -> Tensor:
    coarse = [min(own, wanted) for own, wanted in zip(image.shape, size, strict=True)]
    averaged = functional.interpolate(image[None, None], coarse, mode="area")
    return functional.interpolate(averaged, size, mode="trilinear", align_corners=False)[0, 0]


class ClassImages:
    """Samples ``image`` (1, z, x, y) and ``class`` (), in an epoch as many of each class.

    Every volume of the largest class is in an epoch once; those of the others come in turn, and more often.

    Args:
        volumes: the volumes with their classes, of which each has one at least.
        settings: size, window and augmentation.
        cache: the cache that keeps images.
    """

    def __init__(self, volumes: Sequence[TrainingVolume], settings: ClassifierTask, cache: Cache):
        count = max(each.class_index for each in volumes) + 1
        self._augmentation = settings.augmentation.build()
        self._classes = [
            [class_image(each.volume, settings, cache) for each in volumes if each.class_index == index]
            for index in range(count)
        ]

    def __len__(self) -> int:
        return len(self._classes) * max(map(len, self._classes))

    def sample(self, item: int, seed: int) -> Sample:
        """One volume, changed at random as the settings say."""
        place, index = divmod(item, len(self._classes))
        own = self._classes[index]
        image = torch.from_numpy(np.array(own[place % len(own)], dtype=np.float32))
        random = torch.Generator().manual_seed(seed)
        return {"image": augment(image, self._augmentation, random)[None], "class": torch.tensor(index)}
