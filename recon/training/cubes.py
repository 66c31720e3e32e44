"""Cubes of volumes on one coarse grid: what generators of whole volumes learn from, and what they are compared with.

The paper compares generators at one size and voxel size, so every method learns from the same cubes here: as wide as
the patient, cut at a random height, each voxel the mean over its place in the volume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from datasets.cache import Cache
from priors.diffusion.anatomy import Size
from priors.training.batches import Sample, derived_seed
from recon.errors import InputError
from recon.pictures.lettering import UNKNOWN
from recon.scan.units import network_to_hu, network_to_magnitude
from recon.training.prepared import MR_UNIT, Prepared
from recon.training.settings.generators import CubeTask
from recon.training.sources import TrainingVolume

_AIR = -1.0
"""Beyond the sides of a volume, in the network range."""

_UNIT = 32_000
"""Stored value of 1 in the network range."""


@dataclass(frozen=True)
class CubeGrid:
    """The grid of all cubes.

    Attributes:
        size: the size (z, x, y) in voxels.
        spacing: the edge of a voxel in mm.
    """

    size: Size
    spacing: float

    @property
    def extent(self) -> tuple[float, float, float]:
        """The size (z, x, y) in mm."""
        z, x, y = self.size
        return z * self.spacing, x * self.spacing, y * self.spacing


def cube_grid(volumes: Sequence[TrainingVolume], settings: CubeTask) -> CubeGrid:
    """The grid of a training: as its settings say, or as wide as the median of its volumes is."""
    if settings.spacing is not None:
        return CubeGrid(settings.size, settings.spacing)
    unique = {each.volume.case.id: each.volume for each in volumes}.values()
    widths = [max(n * d for n, d in zip(v.data.shape[1:], v.spacing[1:], strict=True)) for v in unique]
    return CubeGrid(settings.size, round(float(np.median(widths)) / max(settings.size[1:]), 3))


def sampled_means(length: int, spacing: float, first: float, count: int, step: float) -> Tensor:
    """(count, length) weights that take values of voxels to their means over the cells of another grid.

    A cell beyond the ends has what weight is left of its share inside, and no row of weights where it lies outside.

    Args:
        length: number of voxels.
        spacing: size of a voxel in mm.
        first: place in mm where the first cell begins; voxel 0 begins at 0.
        count: number of cells.
        step: size of a cell in mm.
    """
    edges = torch.arange(length + 1, dtype=torch.float64) * spacing
    cells = first + torch.arange(count, dtype=torch.float64)[:, None] * step
    inside = torch.minimum(edges[1:], cells + step) - torch.maximum(edges[:-1], cells)
    return inside.clamp_min(0) / step


class CubeSource:
    """Cubes of volumes: ``image`` (1, Z, X, Y) in the network range, and ``class`` ().

    Args:
        volumes: the volumes with their classes, each as often as it is to count.
        grid: the grid of the cubes.
        settings: the settings of the cubes.
        cache: keeps the volumes' slices on the grid.
        mirror: also mirror images, left and right.

    Raises:
        InputError: no volume is high enough.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        grid: CubeGrid,
        settings: CubeTask,
        cache: Cache,
        *,
        mirror: bool = False,
    ) -> None:
        high = high_enough(volumes, grid, settings)
        if not high:
            raise InputError(
                f"`data`: no volume is as high as task.least_height {settings.least_height:g} of a cube of "
                f"{grid.extent[0]:.0f} mm; lower task.spacing or task.size"
            )
        self._grid, self._per_volume, self._mirror, self._stretch = grid, settings.per_volume, mirror, settings.stretch
        self._items = [(each, in_plane(each.volume, grid, cache)) for each in high]

    def __len__(self) -> int:
        return len(self._items) * self._per_volume

    @property
    def volumes(self) -> list[TrainingVolume]:
        """Those that are high enough."""
        return [volume for volume, _ in self._items]

    def sample(self, item: int, seed: int) -> Sample:
        """One cube, at a height, stretched and mirrored as the seed says."""
        random = torch.Generator().manual_seed(seed)
        place, side = torch.rand(2, generator=random).tolist()
        volume, slices = self._items[item % len(self._items)]
        sizes = [1.0, 1.0, 1.0]
        if self._stretch:
            sizes = (1 + self._stretch * (2 * torch.rand(3, generator=random) - 1)).tolist()
        image = stretched(self._cube(volume.volume, slices, place, sizes[0]), sizes[1], sizes[2])
        if self._mirror and side < 0.5:
            image = image.flip(1)
        return {"image": image[None].contiguous(), "class": torch.tensor(volume.class_index)}

    def _cube(self, volume: Prepared, slices: np.ndarray, place: float, height: float) -> Tensor:
        """The (Z, X, Y) cube that begins at a share ``place`` of the heights where it fits, the patient ``height``
        times as tall."""
        step = self._grid.spacing / height
        spare = _height(volume) - self._grid.size[0] * step
        first = spare * (place if spare > 0 else 0.5)
        depth, spacing = volume.data.shape[0], volume.spacing[0]
        weights = sampled_means(depth, spacing, first, self._grid.size[0], step).float()
        used = weights.any(0).nonzero()
        part = slice(int(used[0]), int(used[-1]) + 1)
        values = torch.from_numpy(np.array(slices[part], dtype=np.float32)) / _UNIT
        weights = weights[:, part]
        means = torch.einsum("cz,zxy->cxy", weights, values)
        return means + _AIR * (1 - weights.sum(1))[:, None, None]


def stretched(image: Tensor, x: float, y: float) -> Tensor:
    """A (Z, X, Y) image in the network range with its middle ``x`` and ``y`` times as wide, air beyond its sides."""
    if x == y == 1:
        return image
    rows, columns = (
        sampled_means(n, 1.0, (n - n / factor) / 2, n, 1 / factor).float()
        for n, factor in zip(image.shape[1:], (x, y), strict=True)
    )
    outside = _AIR * (1 - torch.outer(rows.sum(1), columns.sum(1)))
    return torch.einsum("ax,zxy,by->zab", rows, image, columns) + outside


def in_plane(volume: Prepared, grid: CubeGrid, cache: Cache) -> np.ndarray:
    """A volume's own slices on the cubes' grid, about its middle: (z, X, Y) int16, ``_UNIT`` a unit of the range."""
    _, x, y = grid.size

    def make() -> tuple[np.ndarray, dict[str, object]]:
        rows, columns = (
            sampled_means(length, spacing, (length * spacing - n * grid.spacing) / 2, n, grid.spacing).float()
            for length, spacing, n in zip(volume.data.shape[1:], volume.spacing[1:], (x, y), strict=True)
        )
        outside = _AIR * (1 - torch.outer(rows.sum(1), columns.sum(1)))
        made = np.empty((volume.data.shape[0], x, y), np.int16)
        for z in range(len(made)):
            image = rows @ volume.network((slice(z, z + 1), slice(None), slice(None)))[0] @ columns.T + outside
            made[z] = (image * _UNIT).round().numpy()
        return made, {}

    return cache.entry(volume.case, "in-plane-1", {"size": [x, y], "spacing": grid.spacing}, make).array


def high_enough(volumes: Sequence[TrainingVolume], grid: CubeGrid, settings: CubeTask) -> list[TrainingVolume]:
    """Those that have the share of a cube's height which the settings ask for."""
    return [each for each in volumes if _height(each.volume) >= settings.least_height * grid.extent[0]]


def cube_volumes(
    volumes: Sequence[TrainingVolume], grid: CubeGrid, settings: CubeTask, cache: Cache
) -> list[TrainingVolume]:
    """``per_volume`` cubes of each volume as volumes, for trainings that encode what they learn from once.

    Raises:
        InputError: no volume is high enough.
    """
    source = CubeSource(list({each.volume.case.id: each for each in volumes}.values()), grid, settings, cache)
    repeats = {each.volume.case.id: 0 for each in volumes}
    for each in volumes:
        repeats[each.volume.case.id] += 1
    made = []
    for item, each in enumerate(source.volumes):
        for number in range(settings.per_volume):
            image = source.sample(item, derived_seed("cube", item, number))["image"][0]
            cube = _as_prepared(image, each.volume, grid, number)
            made += [replace(each, volume=cube)] * repeats[each.volume.case.id]
    return made


def _as_prepared(image: Tensor, volume: Prepared, grid: CubeGrid, number: int) -> Prepared:
    ct = volume.modality == "CT"
    stored = network_to_hu(image) if ct else network_to_magnitude(image) * MR_UNIT
    values = stored.round().to(torch.int16).numpy()
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    case = replace(volume.case, id=f"{volume.case.id}-cube{number}-{digest[:12]}")
    spacing = (grid.spacing,) * 3
    return replace(volume, case=case, data=values, spacing=spacing, sha256=digest, frame=UNKNOWN)


def _height(volume: Prepared) -> float:
    """In mm."""
    return volume.data.shape[0] * volume.spacing[0]
