"""A latent decoded on any grid by an implicit decoder, slab by slab, in bounded memory.

Beside what the usual decoding takes (:mod:`priors.networks.streaming`), only the planes around a slab of the output are
held, and the output itself. The result does not depend on how thick the slabs are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.implicit_decoder import ImplicitDecoder
from priors.networks.resampling import Axis, weighted, weights

TRUNK_SHARE = 0.5
"""The share of the work that progress takes the usual layers of the decoder to be."""

SLAB_BYTES = 1 << 26
"""The memory of the features of one slab of the output, at most, as long as a slab of one plane is no larger."""


@torch.no_grad()
def decode_on_grid(
    autoencoder: PatchVolumeAutoencoder,
    decoder: ImplicitDecoder,
    z: Tensor,
    axes: Sequence[Axis],
    *,
    planes: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Tensor:
    """A volume on a grid of any spacing.

    Args:
        autoencoder: the autoencoder that the implicit decoder was trained on.
        decoder: the implicit decoder, on the same device.
        z: a latent (1, C, z, x, y) or indices (1, z, x, y), as :meth:`PatchVolumeAutoencoder.decode` takes them.
        axes: the axes (z, x, y) of the grid, over the voxels of the usual output.
        planes: the number of planes of a slab, of the features and of the output; None chooses by the memory.
        on_progress: called with the share, 0 to 1, that is done.

    Returns:
        (Z', X', Y') float32 on the CPU, about [-1, 1].

    Raises:
        ValueError: a tensor that is no latent of one volume, or a slab of less than one plane.
    """
    report = on_progress or (lambda share: None)
    chunks = mixed_features(autoencoder, decoder, z, planes, lambda share: report(TRUNK_SHARE * share))
    size = [autoencoder.compression * edge for edge in z.shape[-3:]]
    return fill_grid(decoder, chunks, size, axes, planes, lambda share: report(TRUNK_SHARE + (1 - TRUNK_SHARE) * share))


@torch.no_grad()
def mixed_features(
    autoencoder: PatchVolumeAutoencoder,
    decoder: ImplicitDecoder,
    z: Tensor,
    planes: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Iterator[Tensor]:
    """What :func:`fill_grid` takes: chunks (1 + W, planes, X, Y) of the usual output and of the mixed features.

    Arguments and errors are those of :func:`decode_on_grid`.
    """
    if len(z) != 1:
        raise ValueError(f"{len(z)} latents; one at a time is decoded on a grid")
    last = autoencoder.last_convolution
    for padded in autoencoder.decode_features(z, planes=planes, on_progress=on_progress):
        usual = functional.conv3d(padded, last.weight, last.bias, padding=(0, 1, 1))
        own = functional.conv3d(padded.to(decoder.mix.weight), decoder.mix.weight, decoder.mix.bias, padding=(0, 1, 1))
        yield torch.cat([usual[0, :1].to(own), own[0]])


@torch.no_grad()
def fill_grid(
    decoder: ImplicitDecoder,
    chunks: Iterable[Tensor],
    size: Sequence[int],
    axes: Sequence[Axis],
    planes: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Tensor:
    """The volume (Z', X', Y') float32 on the CPU that an implicit decoder makes of mixed features.

    Args:
        decoder: the implicit decoder.
        chunks: chunks as :func:`mixed_features` gives them.
        size: the size (z, x, y) in voxels of the usual output.
        axes, planes, on_progress: the arguments of :func:`decode_on_grid`.
    """
    window, grid = Window(iter(chunks)), _Grid(axes, size, decoder)
    along, slabs = axes[0].count, []
    for first in range(0, along, thickness := planes or grid.thickness):
        last = min(first + thickness, along)
        slabs.append(grid.slab(window, first, last).float().cpu())
        if on_progress is not None:
            on_progress(last / along)
    return torch.cat(slabs)


class Window:
    """Some planes in a row of something that comes chunk by chunk.

    Args:
        chunks: tensors (C, planes, X, Y), in their order.
    """

    def __init__(self, chunks: Iterator[Tensor]) -> None:
        self._chunks = chunks
        self._kept: list[Tensor] = []
        self._first = self._stop = 0

    def planes(self, first: int, last: int) -> Tensor:
        """The planes from ``first`` until before ``last``; those before ``first`` are forgotten."""
        while self._stop < last:
            self._kept.append(next(self._chunks))
            self._stop += self._kept[-1].shape[1]
            self._forget(first)
        self._forget(first)
        held = torch.cat(self._kept, dim=1)
        return held[:, first - self._first : last - self._first]

    def _forget(self, first: int) -> None:
        """Drop the chunks that end before a plane."""
        while self._kept and self._first + self._kept[0].shape[1] <= first:
            self._first += self._kept.pop(0).shape[1]


@dataclass(frozen=True)
class _Grid:
    """A grid over a volume of a size, and the network that fills it."""

    axes: Sequence[Axis]
    size: Sequence[int]
    decoder: ImplicitDecoder

    @property
    def thickness(self) -> int:
        plane = self.axes[1].count * self.axes[2].count * self.decoder.config.width * 4
        return max(1, SLAB_BYTES // plane)

    def slab(self, window: Window, first: int, last: int) -> Tensor:
        """The output's planes from ``first`` until before ``last``."""
        z, x, y = (axis.positions() for axis in self.axes)
        z = z[first:last]
        low, high = self._needed(z)
        planes = window.planes(low, high)
        cells = [axis.cell for axis in self.axes]
        along, *across = (
            weights(each, cell, size) for each, cell, size in zip((z, x, y), cells, self.size, strict=True)
        )
        base = weighted(planes[0], along[:, low:high], *across)
        positions = [each.to(planes) for each in (z - low, x, y)]
        return self.decoder.added(planes[1:], base, positions, torch.tensor(cells))

    def _needed(self, z: Tensor) -> tuple[int, int]:
        """The planes of the volume that output planes at positions ``z`` take part of."""
        reach = 2 * max(self.axes[0].cell, 1.0)
        low, high = math.floor(float(z[0]) - reach), math.ceil(float(z[-1]) + reach) + 1
        return min(max(low, 0), self.size[0] - 1), max(min(high, self.size[0]), 1)
