"""An implicit decoder: the Patch-Volume autoencoder's volumes at any voxel size, from frozen codes.

The paper names this as the way out of its one resolution (3D MedDiffusion, section V, after Kim & Kim, CVPR 2024); the
idea is that of LIIF (Chen, Liu & Wang, CVPR 2021). Beside the usual last convolution, which gives a value for each
voxel, a small perceptron gives a value for every point: it is told the features before that convolution at the point,
where in its voxel the point lies, and how large the output's voxel is. It adds to the usual output's anti-aliased cubic
interpolation, which an untrained network therefore gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.fingerprint import tensors_sha256
from priors.networks.settings import check_positive, plain_settings, read_settings

MOST_POINTS = 1 << 17
"""Points that the perceptron takes at a time where no gradient is recorded."""

_SIZE = 0.1
"""What the last layer's 1 is in the network range: the size of what interpolation misses, so that a step of the
training changes the output by little."""

_PLACE = 6
"""Numbers that say where in its voxel a point lies: sine and cosine along each axis."""


@dataclass(frozen=True)
class ImplicitDecoderConfig:
    """Sizes of an implicit decoder, and what it learned.

    Attributes:
        channels: the channels of the features of the autoencoder's decoder.
        width: the channels of the mixed features and of the perceptron's layers.
        layers: the number of the perceptron's hidden layers.
        finest: the smallest edge of an output's voxel that was learned, in voxels of the usual output.
        coarsest: the largest edge of an output's voxel that was learned, in voxels of the usual output.

    Raises:
        ValueError: counts below 1, or edges that are no range.
    """

    channels: int = 48
    width: int = 64
    layers: int = 3
    finest: float = 0.5
    coarsest: float = 2.0

    def __post_init__(self) -> None:
        check_positive("implicit decoder", self, "channels", "width", "layers")
        if not 0 < self.finest <= self.coarsest < math.inf:
            raise ValueError(
                f"implicit decoder settings finest {self.finest} and coarsest {self.coarsest}; the first must be "
                "above 0 and not above the second"
            )

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImplicitDecoderConfig:
        """A configuration from plain values, strictly; ``ValueError`` names what is wrong."""
        return read_settings(cls, "implicit decoder", values)


class ImplicitDecoder(nn.Module):
    """Values at any points, from the features of a frozen autoencoder's decoder.

    The place of a point in its voxel enters as sine and cosine, so that no value jumps where the next voxel begins.
    Place and edges multiply the features (FiLM, Perez et al. 2018): a filter whose weights depend on where between the
    voxels a point lies, which is what interpolation is, is then learned first, and what is not linear is added to it.

    Args:
        config: sizes.
        autoencoder_sha256: the hash of the tensors of the autoencoder that the network was trained on; empty where
            there was none.
    """

    def __init__(self, config: ImplicitDecoderConfig, autoencoder_sha256: str = "") -> None:
        super().__init__()
        self.config, self.autoencoder_sha256 = config, autoencoder_sha256
        width = config.width
        self.mix = nn.Conv3d(config.channels, width, kernel_size=3)
        self.modulation = nn.Linear(_PLACE + 3, 2 * width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(config.layers))
        self.last = nn.Linear(width, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @classmethod
    def on(cls, autoencoder: PatchVolumeAutoencoder, config: ImplicitDecoderConfig) -> ImplicitDecoder:
        """An untrained network for an autoencoder, whose weights are hashed and not changed."""
        return cls(config, tensors_sha256(autoencoder.state_dict()))

    def check_autoencoder(self, autoencoder: PatchVolumeAutoencoder) -> None:
        """Refuse an autoencoder that the network was not trained on.

        Args:
            autoencoder: the autoencoder in the precision in which it was loaded.

        Raises:
            ValueError: an autoencoder of other sizes or other weights.
        """
        if autoencoder.feature_channels != self.config.channels:
            raise ValueError("this implicit decoder was made for an autoencoder of other sizes")
        if self.autoencoder_sha256 != (found := tensors_sha256(autoencoder.state_dict())):
            made_for = self.autoencoder_sha256[:12] or "unknown weights"
            raise ValueError(f"this implicit decoder was made for the autoencoder {made_for}, not for {found[:12]}")

    def forward(self, features: Tensor, base: Tensor, positions: Sequence[Tensor], cell: Tensor) -> Tensor:
        """Values on rectilinear grids of points, one grid for each sample.

        Args:
            features: (B, C, Z, X, Y), what the last convolution of the autoencoder's decoder takes.
            base: (B, n, m, k), the interpolation that the values are added to.
            positions: the positions (B, n), (B, m) and (B, k) of the points along Z, X and Y, in voxels of the
                features.
            cell: (B, 3), the edges (z, x, y) of the output's voxels, in voxels of the features.

        Returns:
            (B, n, m, k).
        """
        mixed = functional.conv3d(features, self.mix.weight, self.mix.bias, padding=1)
        z, x, y = positions
        return torch.stack(
            [self.added(*each) for each in zip(mixed, base, zip(z, x, y, strict=True), cell, strict=True)]
        )

    def added(self, mixed: Tensor, base: Tensor, positions: Sequence[Tensor], cell: Tensor) -> Tensor:
        """What the perceptron adds to one grid of points.

        Args:
            mixed: (W, Z, X, Y), the features after ``mix``.
            base: (n, m, k).
            positions: the positions (n,), (m,) and (k,), in voxels of ``mixed``.
            cell: (3,), the edges of the output's voxels.

        Returns:
            (n, m, k).
        """
        points = interpolated(mixed.movedim(0, -1), positions).flatten(0, 2)
        known = torch.cat([self._place(positions), self._cell(cell).expand(len(points), 3).to(points)], dim=1)
        return base + self._values(points, known.to(points)).view(base.shape)

    def _values(self, points: Tensor, known: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self._perceptron(points, known)
        parts = zip(points.split(MOST_POINTS), known.split(MOST_POINTS), strict=True)
        return torch.cat([self._perceptron(*part) for part in parts])

    def _perceptron(self, points: Tensor, known: Tensor) -> Tensor:
        factor, summand = self.modulation(known).chunk(2, dim=1)
        hidden = points * (1 + factor) + summand
        for layer in self.hidden:
            hidden = hidden + functional.silu(layer(hidden))
        return _SIZE * self.last(hidden)

    def _cell(self, cell: Tensor) -> Tensor:
        """Logarithms to the base 2 of the edges, held within what was learned."""
        return cell.clamp(self.config.finest, self.config.coarsest).log2()

    @staticmethod
    def _place(positions: Sequence[Tensor]) -> Tensor:
        """Where in its voxel each point of a grid lies, (points, 6)."""
        angles = torch.stack(torch.meshgrid(*positions, indexing="ij"), dim=-1).flatten(0, 2) * (2 * math.pi)
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def interpolated(grid: Tensor, positions: Sequence[Tensor]) -> Tensor:
    """Channels (Z, X, Y, C) at the points (n,) x (m,) x (k,), trilinear, as (n, m, k, C); the ends go on outside."""
    for axis, along in enumerate(positions):
        last = grid.shape[axis] - 1
        held = along.clamp(0, last)
        low = held.floor().long().clamp(max=max(last - 1, 0))
        share = (held - low).to(grid).view(-1, *[1] * (grid.dim() - 1 - axis))
        below, above = grid.index_select(axis, low), grid.index_select(axis, (low + 1).clamp(max=last))
        grid = torch.lerp(below, above, share)
    return grid
