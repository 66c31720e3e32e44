"""The real volumes of a table: cubes from the loader that the generators were trained with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchmarks.generation.volumes import VolumeSet, from_stored, to_stored, values_sha256
from datasets.cache import Cache
from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from priors.training.batches import derived_seed
from recon.errors import InputError
from recon.training.cubes import CubeGrid, CubeSource
from recon.training.settings.generators import GeneratorTask
from recon.training.sources import DataPart, load_split, parse_data

REAL = "real"
"""Label of the real volumes."""

LEAST = 8
"""Fewest real volumes: each half of them is compared with the other."""

_SAME = 1e-3


@dataclass(frozen=True)
class RealVolumes:
    """Real volumes that generated ones are compared with.

    Attributes:
        volumes: the cubes.
        split: the split of the data that they were cut from.
        scans: the number of scans that they were cut from, one cube of each before any has a second.
    """

    volumes: VolumeSet
    split: str
    scans: int

    @property
    def one_each(self) -> VolumeSet:
        """One cube of each scan: no two of the same person's at other heights."""
        return self.volumes.first(self.scans)


@dataclass(frozen=True)
class RealData:
    """Where the real volumes are.

    Attributes:
        parts: the data sets.
        split: the split that is compared with.
        cache: the folder for prepared volumes.
    """

    parts: tuple[DataPart, ...]
    split: str
    cache: Path


def parse_parts(data: Sequence[str], anatomy: Anatomy) -> tuple[DataPart, ...]:
    """Folders, whose volumes are of the class, and YAML lists of data sets as for ``recon train``.

    Raises:
        InputError: no such path, not such a list, or data that hold nothing of the class.
    """
    parts = [part for each in data for part in parse_data(each, "folder", anatomy.modality, anatomy.name)]
    own = tuple(part for part in parts if part.class_index == anatomy.index)
    if not own:
        known = ", ".join(sorted({part.class_name or part.dataset for part in parts}))
        raise InputError(f"`data`: nothing of the `class` {anatomy.name} in it; there are {known}")
    return own


def real_volumes(
    data: RealData, size: Size, spacing: VoxelSize, count: int, announce: Callable[[str], None]
) -> RealVolumes:
    """A cube of each scan of a split, and further ones at other heights where there are fewer than ``count`` scans.

    Heights are drawn with seeds that belong to the places in the set, so that the set is the same in every run. No cube
    is a mirror image.

    Raises:
        InputError: voxels that are no cubes, or no scan that is high enough, or too few cubes.
    """
    edge = spacing[0]
    if any(abs(each - edge) > _SAME * edge for each in spacing):
        raise InputError(f"`prior`: voxels of {spacing} mm (z, x, y): real volumes are cut with cubic voxels")
    cache = Cache(data.cache)
    scans = load_split(list(data.parts), data.split, cache, announce)
    if not scans:
        raise InputError(f"`split` {data.split}: no volume of the data is in it")
    unique = list({each.volume.case.id: each for each in scans}.values())
    settings = GeneratorTask(size=size, spacing=edge, mirror=False, per_volume=1)
    source = CubeSource(unique, CubeGrid(size, edge), settings, cache)
    found = RealVolumes(_cut(source, range(max(count, LEAST, len(source)))), data.split, len(source))
    announce(f"real: {len(found.volumes)} cubes of {found.scans} scans ({data.split})")
    return found


def _cut(source: CubeSource, places: range) -> VolumeSet:
    def read(place: int) -> Tensor:
        item, number = place % len(source), place // len(source)
        modality = source.volumes[item].volume.modality
        image = source.sample(item, derived_seed("real volume", item, number))["image"][0]
        return from_stored(to_stored(image, modality), modality)  # as generated volumes are read from their files

    subjects = [volume.volume.case.subject for volume in source.volumes]
    modality = source.volumes[0].volume.modality
    return VolumeSet(
        REAL,
        tuple(f"scan {place % len(source) + 1}, cube {place // len(source) + 1}" for place in places),
        tuple(values_sha256(to_stored(read(place), modality)) for place in places),
        read,
        tuple(subjects[place % len(source)] for place in places),
    )
