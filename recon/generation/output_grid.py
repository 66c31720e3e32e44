"""Generated volumes on a grid of any voxel size: the grid, and the implicit decoder that fills it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from torch import Tensor

from priors.diffusion.anatomy import Size
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.prior import VoxelSize
from priors.generators.generator import Generator
from priors.generators.latent import LatentGenerator
from priors.networks.implicit_decoder import ImplicitDecoder
from priors.networks.resampling import Axis, axis_over
from priors.weights.card import read_card
from priors.weights.networks import load_implicit_decoder
from priors.weights.store import IMPLICIT_DECODER
from recon.errors import InputError, input_errors

_COPIES = 6
"""Volumes of the output's size that are held at a time while it is decoded, clipped and written."""


@dataclass(frozen=True)
class OutputGrid:
    """A grid of another voxel size over sampled volumes.

    Attributes:
        decoder: the implicit decoder of the prior's autoencoder.
        sha256: the hash of the implicit decoder's tensors.
        axes: the axes (z, x, y) of the grid, over the voxels of the sampled volume.
        sampled: the voxel size (z, x, y) in mm of the sampled volume.
    """

    decoder: ImplicitDecoder
    sha256: str
    axes: tuple[Axis, Axis, Axis]
    sampled: VoxelSize

    @property
    def size(self) -> Size:
        """The size (z, x, y) in voxels."""
        z, x, y = (axis.count for axis in self.axes)
        return z, x, y

    @property
    def spacing(self) -> VoxelSize:
        """The voxel size (z, x, y) in mm."""
        z, x, y = (axis.cell * edge for axis, edge in zip(self.axes, self.sampled, strict=True))
        return z, x, y

    @property
    def affine(self) -> np.ndarray:
        """From voxels (x, y, z) to mm, such that both grids cover the same place; the sampled voxel 0 is the origin."""
        dz, dx, dy = self.spacing
        z, x, y = (axis.first * edge for axis, edge in zip(self.axes, self.sampled, strict=True))
        affine = np.diag([dx, dy, dz, 1.0])
        affine[:3, 3] = x, y, z
        return affine

    @property
    def bytes(self) -> int:
        """The memory that the output takes, beside the usual decoding."""
        return 4 * _COPIES * math.prod(self.size)

    @property
    def learned(self) -> bool:
        """Whether the decoder learned voxels of such edges."""
        config = self.decoder.config
        return all(0.99 * config.finest <= axis.cell <= 1.01 * config.coarsest for axis in self.axes)

    def decoding(self, prior: PatchVolumePrior) -> Callable[[Tensor, Callable[[float], None]], Tensor]:
        """The function from a latent (1, C, z, x, y) of a prior to an image (Z, X, Y) on the grid."""
        decoder = self.decoder.to(prior.device)

        def decode(latent: Tensor, on_progress: Callable[[float], None]) -> Tensor:
            return prior.decode_on_grid(latent, decoder, self.axes, on_progress)

        return decode


def load_output_grid(generator: Generator, file: Path, wanted: VoxelSize, size: Size, sampled: VoxelSize) -> OutputGrid:
    """A grid of a wanted voxel size over volumes of a generator, on the CPU.

    Args:
        generator: the generator, its networks in the precision in which they were loaded.
        file: the weights file of the implicit decoder, see :func:`decoder_in`.
        wanted: the voxel size (z, x, y) in mm.
        size: the size (z, x, y) in voxels that is sampled.
        sampled: the voxel size (z, x, y) in mm of what is sampled.

    Raises:
        InputError: a generator without a Patch-Volume autoencoder, an implicit decoder of another autoencoder, or
            voxels that are far finer or coarser than the sampled ones.
    """
    prior = patch_volume_prior(generator)
    with input_errors("`output_spacing`"):
        z, x, y = (axis_over(edge, want / have) for edge, want, have in zip(size, wanted, sampled, strict=True))
    with input_errors("`decoder`"):
        decoder, sha256 = load_implicit_decoder(file).eval(), read_card(file).sha256
    with input_errors(f"`decoder` {file}"):
        decoder.check_autoencoder(prior.autoencoder)
    return OutputGrid(decoder, sha256, (z, x, y), sampled)


def patch_volume_prior(generator: Generator) -> PatchVolumePrior:
    """The prior of a generator, where it has a Patch-Volume autoencoder.

    Raises:
        InputError: a generator that has none.
    """
    if isinstance(generator, LatentGenerator) and isinstance(generator.prior, PatchVolumePrior):
        return generator.prior
    raise InputError(
        f"`output_spacing`: {generator.method} has no Patch-Volume autoencoder, which implicit decoders belong to; "
        "leave it away"
    )


def on_grid(generator: Generator, grid: OutputGrid) -> LatentGenerator:
    """The generator, which now decodes on the grid, on the device where its networks are.

    Raises:
        InputError: as :func:`patch_volume_prior`.
    """
    prior = patch_volume_prior(generator)
    return replace(cast(LatentGenerator, generator), decoding=grid.decoding(prior))


def decoder_in(folder: Path) -> Path:
    """The implicit decoder's file in a prior's folder.

    Raises:
        InputError: there is none.
    """
    path = folder / IMPLICIT_DECODER
    if not path.is_file():
        raise InputError(
            f"`decoder`: there is no {IMPLICIT_DECODER} in {folder}; name the file of one that was trained on this "
            "prior's autoencoder ('recon train implicit-decoder')"
        )
    return path
