"""Random cubes of volumes, for the autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from priors.training.batches import Sample
from recon.scan.padding import grown
from recon.training.prepared import Prepared

_AIR = -0.8
"""Network range: -800 HU, or a tenth of an MR volume's scale. Noisy air lies below."""

_LEAST_TISSUE = 0.05
"""A cube with a smaller share of voxels above air is nearly all air, of which every scan has more than enough."""

_AIR_KEPT = 0.15
"""Share of those that are learned from all the same."""

_TRIES = 8


@dataclass(frozen=True)
class Augmentation:
    """Random changes that leave an anatomy plausible; probabilities and half-widths of uniform ranges.

    Attributes:
        flip: left to right.
        scale: relative size.
        rotation: about the z axis, radians.
        noise: standard deviation of added noise, network range, at most this.
        stretch: relative spacing along z, of cubes alone.
        shift: a shift of all intensities, network range; 0.01 is 10 HU, within what scanners differ by.
    """

    flip: float = 0.5
    scale: float = 0.0
    rotation: float = 0.0
    noise: float = 0.0
    stretch: float = 0.0
    shift: float = 0.0


class PatchSource:
    """Cubes (1, p, p, p) in the network range, each from a random place of its volume.

    Args:
        volumes: prepared.
        patch: edge of the cube (z, x, y) in voxels; smaller volumes are padded, see :func:`grown`.
        per_volume: cubes of one volume in an epoch.
        augmentation: the augmentation of every cube.
    """

    def __init__(
        self,
        volumes: Sequence[Prepared],
        patch: tuple[int, int, int],
        per_volume: int = 64,
        augmentation: Augmentation | None = None,
    ):
        self._volumes, self._patch, self._per_volume = volumes, patch, per_volume
        self._augmentation = augmentation or Augmentation(flip=0.5)

    def __len__(self) -> int:
        return len(self._volumes) * self._per_volume

    def sample(self, item: int, seed: int) -> Sample:
        """A cube with tissue in it, if a few tries find one; now and then one of air."""
        volume = self._volumes[item % len(self._volumes)]
        random = torch.Generator().manual_seed(seed)
        for _ in range(_TRIES):
            cube = self._cube(volume, random)
            if float((cube > _AIR).float().mean()) >= _LEAST_TISSUE or torch.rand((), generator=random) < _AIR_KEPT:
                break
        return {"image": augment(cube, self._augmentation, random)[None]}

    def _cube(self, volume: Prepared, random: torch.Generator) -> Tensor:
        z, x, y = self._patch
        stretch = self._augmentation.stretch
        factor = 1 + stretch * float(2 * torch.rand((), generator=random) - 1) if stretch else 1.0
        wanted = (max(1, round(z * factor)), x, y)
        region = tuple(_window(size, edge, random) for size, edge in zip(volume.data.shape, wanted, strict=True))
        cube = grown(volume.network(region), wanted)  # type: ignore[arg-type]
        return resampled_along_z(cube, z)


def resampled_along_z(image: Tensor, size: int) -> Tensor:
    """A (Z, X, Y) image with ``size`` slices, by linear interpolation."""
    if len(image) == size:
        return image
    columns = image.permute(1, 2, 0)
    return functional.interpolate(columns, size, mode="linear", align_corners=True).permute(2, 0, 1).contiguous()


def _window(size: int, edge: int, random: torch.Generator) -> slice:
    """A random window of ``edge`` in an axis of ``size``; the whole axis where it is shorter."""
    first = int(torch.randint(max(size - edge, 0) + 1, (), generator=random))
    return slice(first, first + edge)


def augment(image: Tensor, settings: Augmentation, random: torch.Generator) -> Tensor:
    """A (Z, X, Y) image flipped, turned, scaled and made noisy at random."""
    draws = torch.rand(5, generator=random)  # the last is of the shift
    if draws[0] < settings.flip:
        image = image.flip(1)
    if settings.scale or settings.rotation:
        image = _turned(
            image, settings.rotation * float(2 * draws[1] - 1), 1 + settings.scale * float(2 * draws[2] - 1)
        )
    if settings.noise:
        image = image + settings.noise * float(draws[3]) * torch.randn(image.shape, generator=random)
    if settings.shift:
        image = torch.where(image > -1, image + settings.shift * float(2 * draws[4] - 1), image)  # air stays air
    return image.contiguous()


def _turned(image: Tensor, angle: float, scale: float) -> Tensor:
    """Rotate about z and scale, linear interpolation; what comes from outside repeats the border."""
    cos, sin = torch.cos(torch.tensor(angle)) / scale, torch.sin(torch.tensor(angle)) / scale
    x, y = image.shape[1:]
    # grid_sample's coordinates are relative to each axis' own length
    matrix = torch.tensor([[float(cos), float(sin) * x / y, 0.0], [-float(sin) * y / x, float(cos), 0.0]])
    grid = functional.affine_grid(matrix[None], [1, 1, x, y], align_corners=False)
    turned = functional.grid_sample(
        image[:, None], grid.expand(len(image), -1, -1, -1), padding_mode="border", align_corners=False
    )
    return turned[:, 0]
