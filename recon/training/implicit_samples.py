"""Samples for an implicit decoder: points of coarse images, for voxels of random edges, and their truth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from priors.training.batches import Sample
from recon.training.coarse_pairs import CoarsePair
from recon.training.settings.implicit import ImplicitTask


class ImplicitSource:
    """Crops of features with points in them.

    Samples: ``features`` (C, Z, X, Y); ``z``, ``x``, ``y``, the positions of the points along the axes of the crop;
    ``cell`` (3,), the edges of the output's voxels; ``base`` and ``truth`` (n, m, k), the interpolation of the usual
    output and the truth at the points.

    Args:
        pairs: the coarse images with their truth.
        settings: the sizes of the samples, and the range of the edges.

    Raises:
        ValueError: a crop that is larger than a coarse image.
    """

    def __init__(self, pairs: Sequence[CoarsePair], settings: ImplicitTask):
        self._pairs, self._settings = pairs, settings
        for each in pairs:
            size = each.stored.shape[1:]
            if any(have < want for have, want in zip(size, settings.crop, strict=True)):
                raise ValueError(f"a coarse image of {tuple(size)} is smaller than the crop {settings.crop}")

    def __len__(self) -> int:
        return len(self._pairs) * self._settings.per_volume

    def sample(self, item: int, seed: int) -> Sample:
        """One crop."""
        pair, random = self._pairs[item % len(self._pairs)], torch.Generator().manual_seed(seed)
        cells = [self._edge(finest, random) for finest in pair.how.finest(self._settings.finest)]
        firsts, positions = self._points(pair, random)
        crop = tuple(slice(first, first + edge) for first, edge in zip(firsts, self._settings.crop, strict=True))
        features = torch.from_numpy(np.array(pair.stored[1:][(slice(None), *crop)], dtype=np.float32))
        z, x, y = (along.float() for along in positions)
        padded = [first + along for first, along in zip(firsts, positions, strict=True)]
        own = [along - before for along, before in zip(padded, pair.before, strict=True)]
        return {
            "features": features,
            "z": z,
            "x": x,
            "y": y,
            "cell": torch.tensor(cells),
            "base": pair.interpolated(padded, cells),
            "truth": pair.truth(own, cells),
        }

    def _edge(self, finest: float, random: torch.Generator) -> float:
        """The edge of the output's voxels along one axis, drawn evenly in its logarithm."""
        low, high = math.log2(finest), math.log2(self._settings.coarsest)
        return float(2 ** (low + (high - low) * torch.rand((), generator=random)))

    def _points(self, pair: CoarsePair, random: torch.Generator) -> tuple[list[int], list[Tensor]]:
        """Where the crop begins along each axis of the padded image, and the positions of the points in the crop.

        Points lie in the image, not in its padding, and a voxel or more inside the crop, whose features all voxels
        around them then have.
        """
        firsts, positions = [], []
        sizes = zip(pair.before, pair.how.size, self._settings.crop, self._settings.points, strict=True)
        for axis, (before, size, edge, count) in enumerate(sizes):
            most = pair.stored.shape[1 + axis] - edge
            low = min(before, most)
            spare = min(max(size - edge, 0), most - low)
            first = low + int(torch.randint(spare + 1, (), generator=random))
            start, stop = max(1, before - first), min(edge - 2, before + size - 1 - first)
            drawn = torch.rand(count, generator=random, dtype=torch.float64)
            firsts.append(first)
            positions.append(torch.sort(start + (stop - start) * drawn).values)
        return firsts, positions
