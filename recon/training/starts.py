"""Crops of latents with what the sampling of their class begins from, for distillations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from priors.diffusion.average import START, AverageLatent
from priors.training.batches import Sample
from recon.training.latents import LatentSource, Size, StoredLatent


@dataclass(frozen=True)
class Starts:
    """Where the sampling of each class begins.

    Attributes:
        averages: the average latents of the classes that begin from one, by the index of the class.
        timesteps: the timesteps of the diffusion.
    """

    averages: Mapping[int, AverageLatent]
    timesteps: int

    def first(self, class_index: int) -> int:
        """The time at which the sampling of a class begins."""
        return round(START * self.timesteps) if class_index in self.averages else self.timesteps - 1


class StartedLatents:
    """The samples of a :class:`LatentSource`, each with ``first`` () and ``start`` (C, z, x, y).

    ``first`` is the time at which the sampling of the sample's class begins; ``start`` is the part of the average of
    the class that lies where the crop does, or zeros where the sampling begins from noise alone.

    Args:
        stored: latents of volumes.
        crop: (z, x, y) of a crop.
        channels: C of a latent.
        per_volume: crops of one latent in an epoch.
        starts: the place where the sampling of each class begins.

    Raises:
        ValueError: a latent is smaller than the crop.
    """

    def __init__(self, stored: Sequence[StoredLatent], crop: Size, channels: int, per_volume: int, starts: Starts):
        self._latents, self._starts = LatentSource(stored, crop, channels, per_volume), starts

    def __len__(self) -> int:
        return len(self._latents)

    def sample(self, item: int, seed: int) -> Sample:
        """One crop with its start."""
        found = self._latents.sample(item, seed)
        stored, region = self._latents.place(item, seed)
        average, start = self._starts.averages.get(stored.class_index), torch.zeros_like(found["latent"])
        if average is not None:
            z, x, y = stored.latents.shape[1:]
            start = average.latent((z, x, y))[region].contiguous()
        return found | {"start": start, "first": torch.tensor(self._starts.first(stored.class_index))}
