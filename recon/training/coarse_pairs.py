"""Coarsened volumes beside what they were made of: the finer truth from which an implicit decoder learns.

A volume's own grid is the finest that is known of it. So it is coarsened by two, along each axis along which it is fine
enough, and the autoencoder sees the coarse image; what lies between its voxels is then known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from priors.networks.resampling import Axis, axis_over, resampled, used, weighted, weights
from recon.scan.padding import AIR
from recon.training.latents import Encoding
from recon.training.prepared import Prepared

FACTOR = 2
"""The factor by which axes are coarsened."""


@dataclass(frozen=True)
class Coarsening:
    """Which part of a volume is coarsened, and how.

    Attributes:
        planes: the slices of the volume that take part.
        axes: the axes (z, x, y) of the coarse grid, over the voxels of that part.
    """

    planes: slice
    axes: tuple[Axis, Axis, Axis]

    @property
    def size(self) -> tuple[int, int, int]:
        """The size (z, x, y) of the coarse image."""
        z, x, y = (axis.count for axis in self.axes)
        return z, x, y

    def finest(self, wanted: float) -> tuple[float, float, float]:
        """The smallest edges (z, x, y) of voxels, not below ``wanted``, whose truth is known; in coarse voxels."""
        z, x, y = (max(wanted, 1 / axis.cell) for axis in self.axes)
        return z, x, y

    def truth_weights(self, sizes: Sequence[int], positions: Sequence[Tensor], cells: Sequence[float]) -> list[Tensor]:
        """The weights with which the volume's voxels make the truth.

        Args:
            sizes: the size (z, x, y) of the part of the volume.
            positions: the positions along each axis, in coarse voxels.
            cells: the edges (z, x, y) of the output's voxels, in coarse voxels.
        """
        return [
            weights(axis.first + axis.cell * along, axis.cell * cell, size)
            for axis, along, cell, size in zip(self.axes, positions, cells, sizes, strict=True)
        ]


def coarsening(volume: Prepared, longest: float, depth: int | None) -> Coarsening:
    """How a volume is coarsened: along every axis whose voxels then are no longer than ``longest`` mm.

    Args:
        volume: the volume.
        longest: the longest edge that a coarsened voxel may have, in mm.
        depth: the largest number of slices of the coarse image; None takes all.
    """
    factors = [FACTOR if FACTOR * edge <= longest else 1 for edge in volume.spacing]
    slices, *plane = volume.data.shape
    taken = slices if depth is None else min(slices, depth * factors[0])
    first = (slices - taken) // 2
    z, x, y = (axis_over(size, float(factor)) for size, factor in zip((taken, *plane), factors, strict=True))
    return Coarsening(slice(first, first + taken), (z, x, y))


def coarse_image(volume: Prepared, how: Coarsening) -> Tensor:
    """The coarse image (Z, X, Y) of a volume, network range."""
    return resampled(volume.network((how.planes, slice(None), slice(None))), how.axes).clamp(-1, 1)


@dataclass(frozen=True)
class CoarsePair:
    """A volume, and what a frozen autoencoder makes of its coarse image.

    Attributes:
        volume: the volume, on its own grid.
        how: how it was coarsened.
        before: the voxels (z, x, y) of padding before the coarse image.
        stored: (1 + C, Z, X, Y) float16 of the padded coarse image: the autoencoder's usual output, then what the last
            convolution of its decoder takes; memory-mapped.
    """

    volume: Prepared
    how: Coarsening
    before: tuple[int, int, int]
    stored: np.ndarray

    def truth(self, positions: Sequence[Tensor], cells: Sequence[float]) -> Tensor:
        """The truth (n, m, k) at positions of the coarse image, anti-aliased for voxels of edges ``cells``."""
        sizes = (self.how.planes.stop - self.how.planes.start, *self.volume.data.shape[1:])
        z, x, y = (used(each) for each in self.how.truth_weights(sizes, positions, cells))
        start = self.how.planes.start
        inside = (slice(start + z[1].start, start + z[1].stop), x[1], y[1])
        return weighted(self.volume.network(inside), z[0], x[0], y[0])

    def interpolated(self, positions: Sequence[Tensor], cells: Sequence[float]) -> Tensor:
        """The usual output's anti-aliased cubic interpolation (n, m, k) at positions of the padded coarse image."""
        z, x, y = (
            used(weights(along, cell, size))
            for along, cell, size in zip(positions, cells, self.stored.shape[1:], strict=True)
        )
        usual = torch.from_numpy(np.array(self.stored[0][z[1], x[1], y[1]], dtype=np.float32))
        return weighted(usual, z[0], x[0], y[0])


def coarse_pair(volume: Prepared, encoding: Encoding, longest: float, depth: int | None) -> CoarsePair:
    """A volume with the features of its coarse image, computed once and kept in the encoding's cache.

    Args:
        volume: the volume.
        encoding: the frozen autoencoder; it grows the coarse image to whole patches.
        longest, depth: the arguments of :func:`coarsening`.
    """
    how = coarsening(volume, longest, depth)

    def make() -> tuple[np.ndarray, dict[str, object]]:
        return _features(encoding, encoding.padded(coarse_image(volume, how), AIR)), {}

    settings = {"autoencoder": encoding.sha256, "least": list(encoding.least), "longest": longest, "depth": depth}
    stored = encoding.cache.entry(volume.case, "coarse-features-1", settings, make).array
    z, x, y = (encoding.padded_axis(size, least)[0] for size, least in zip(how.size, encoding.least, strict=True))
    return CoarsePair(volume, how, (z, x, y), stored)


@torch.no_grad()
def _features(encoding: Encoding, image: Tensor) -> np.ndarray:
    """See ``CoarsePair.stored``, of a padded image."""
    net = encoding.autoencoder
    last = net.last_convolution
    z = net.patch_encode(image[None, None].to(last.weight.device))
    stored, first = np.empty((1 + net.feature_channels, *image.shape), np.float16), 0
    for padded in net.decode_features(z):
        usual = functional.conv3d(padded, last.weight, last.bias, padding=(0, 1, 1))[0, :1]
        part = torch.cat([usual, padded[0, :, 1:-1]]).to(torch.float16).cpu().numpy()
        stored[:, first : first + part.shape[1]] = part
        first += part.shape[1]
    return stored
