"""The cone-beam projector in operations of torch, for a GPU: the model of the compiled loops, ray by ray.

All rays with one major axis take a step together: each reads its four voxels, or in the adjoint adds to them. On a GPU
the order of those sums is not fixed, so that adjoints of two calls differ by rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from physics.ct.cone.projector import BEFORE, BORDER, ConeProjector

_RAYS = 2**23
"""Rays that take their steps together."""


class _Bundle(NamedTuple):
    """Rays of some views with one major axis (0: x, 1: y, 2: z).

    Attributes:
        axis: the major axis.
        rays: (n,) their places in data (views, cells, rows).
        source, along: (n, 3) their sources, and what leads from there to their cells, in voxels.
        length: (n,) length in mm of one step.
    """

    axis: int
    rays: Tensor
    source: Tensor
    along: Tensor
    length: Tensor


class TorchConeProjector(ConeProjector):
    """The projector whose loops are operations of torch, on any device; see :class:`ConeProjector`."""

    def _project(self, volume: Tensor, data: Tensor) -> None:
        padded = self._padded_like(volume)
        padded[self._inside()] = volume.permute(1, 2, 0)
        flat = padded.flatten()
        for part in self._parts():
            block = volume.new_zeros((part.stop - part.start) * self.range[0] * self.range[2])
            for bundle in self._bundles(part, volume):
                sums = torch.zeros_like(bundle.length)
                for places, weights in self._steps_of(bundle, padded.shape):
                    for place, weight in zip(places, weights, strict=True):
                        sums += weight * flat[place]
                block[bundle.rays] = sums * bundle.length
            data[:, part] = block.reshape(-1, self.range[2], self.range[0]).permute(2, 0, 1)

    def _backproject(self, data: Tensor, volume: Tensor) -> None:
        padded = self._padded_like(volume)
        flat = padded.view(-1)
        for part in self._parts():
            block = data[:, part].permute(1, 2, 0).flatten()
            for bundle in self._bundles(part, volume):
                sums = block[bundle.rays] * bundle.length
                for places, weights in self._steps_of(bundle, padded.shape):
                    for place, weight in zip(places, weights, strict=True):
                        flat.index_add_(0, place, weight * sums)
        volume.copy_(padded[self._inside()].permute(2, 0, 1))

    def _padded_like(self, volume: Tensor) -> Tensor:
        z, y, x = volume.shape
        return volume.new_zeros((y + BORDER, x + BORDER, z + BORDER))

    def _inside(self) -> tuple[slice, ...]:
        z, y, x = self.domain
        return tuple(slice(BEFORE, BEFORE + size) for size in (y, x, z))

    def _parts(self) -> list[slice]:
        """Views that are worked on at once."""
        rows, views, cells = self.range
        step = max(1, _RAYS // (rows * cells))
        return [slice(first, min(first + step, views)) for first in range(0, views, step)]

    def _bundles(self, part: slice, like: Tensor) -> Iterator[_Bundle]:
        """The rays of some views by their major axis, as the compiled loops choose it."""
        rows = self.range[0]
        along = self._columns[part] - self._sources[part, None]
        middle = np.abs(along + (rows - 1) / 2 * self._steps[part, None])
        along_y = np.abs(along[..., 1]) >= np.abs(along[..., 0])
        axes = np.where(self._upright[part, None], np.where(along_y, 1, 0), middle.argmax(-1))
        every = along[:, :, None] + np.arange(rows)[:, None] * self._steps[part, None, None]
        sources = np.broadcast_to(self._sources[part, None, None], every.shape)
        for axis in np.unique(axes):
            chosen = np.broadcast_to((axes == axis)[..., None], every.shape[:-1])
            found, source = every[chosen], sources[chosen]
            step = np.abs(found[:, axis])
            length = np.linalg.norm(found * self._spacing(), axis=1) / np.where(step > 1e-12, step, np.inf)
            rays = torch.from_numpy(np.flatnonzero(chosen)).to(like.device)
            yield _Bundle(int(axis), rays, _on(source, like), _on(found, like), _on(length, like).to(like.dtype))

    def _steps_of(self, bundle: _Bundle, shape: tuple[int, ...]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """Of each step along the major axis, the four voxels that each ray reads, and their weights."""
        strides, sizes = (shape[2], shape[1] * shape[2], 1), (shape[1], shape[0], shape[2])
        one, other = (axis for axis in range(3) if axis != bundle.axis)
        advance = bundle.along[:, bundle.axis]
        advance = torch.where(advance.abs() > 1e-12, advance, -1e-30)
        for step in range(BEFORE, sizes[bundle.axis] - BORDER + BEFORE):
            t = (step - bundle.source[:, bundle.axis]) / advance
            inside = t > 0
            lows, shares = [], []
            for axis in (one, other):
                place = bundle.source[:, axis] + t * bundle.along[:, axis]
                inside &= (place > 0) & (place < sizes[axis] - BORDER + BEFORE)
                lows.append(place)
            for number, place in enumerate(lows):
                place = torch.where(inside, place, 0)
                lows[number] = place.long()
                shares.append((place - lows[number]).to(bundle.length.dtype))
            at = step * strides[bundle.axis] + lows[0] * strides[one] + lows[1] * strides[other]
            at = torch.where(inside, at, 0)
            (a, b), s1, s2 = shares, strides[one], strides[other]
            yield (
                [at, at + s2, at + s1, at + s1 + s2],
                [w * inside for w in ((1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b)],
            )


def _on(values: np.ndarray, like: Tensor) -> Tensor:
    """Places in double precision on the device: single precision would lose parts of voxels."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)
