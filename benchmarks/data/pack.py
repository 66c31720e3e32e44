"""Data sets made small for a machine that they must travel to: windowed, 8 bits a voxel, as ordinary NIfTI files."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from datasets.cache import Cache
from datasets.whole_file import whole_file
from priors.diffusion.anatomy import CLASSES
from recon.errors import InputError
from recon.scan.units import CT_WINDOW
from recon.training.prepared import Prepared
from recon.training.sources import DataPart, load_split


@dataclass(frozen=True)
class Detail:
    """How much of the data is kept; noise is most of what a compressed scan takes, so fewer steps save more than bits.

    Attributes:
        ct_levels: steps of the window [-1000, 1000] HU, at most 255.
        mr_levels: the number of steps of a volume's magnitude.
        slices: most slices of a training volume: every second, third, ... one is kept; None keeps all.

    Raises:
        ValueError: levels or slices out of range.
    """

    ct_levels: int = 255
    mr_levels: int = 255
    slices: int | None = None

    def __post_init__(self) -> None:
        if not all(2 <= levels <= 255 for levels in (self.ct_levels, self.mr_levels)):
            raise ValueError("`ct_levels` and `mr_levels`: must be from 2 to 255")
        if self.slices is not None and self.slices < 1:
            raise ValueError(f"`slices` {self.slices}: must be 1 or more")


@dataclass(frozen=True)
class Packed:
    """What was written: the list for `data`, how many volumes, their size in bytes."""

    data: Path
    volumes: int
    size: int


def pack(
    parts: Sequence[DataPart],
    folder: Path,
    cache: Cache,
    splits: Sequence[str],
    announce: Callable[[str], None],
    detail: Detail,
) -> Packed:
    """Write every volume of some splits into ``folder/NAME/SPLIT``, and ``folder/data.yaml`` that lists them.

    CT keeps the window [-1000, 1000] HU in steps of 7.8 HU or more, MR its magnitude in 255 steps or fewer: for
    training, not for measuring.

    Raises:
        InputError: the folder exists, or data that cannot be used.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists; name a new folder")
    names: dict[tuple[str, Path | None], str] = {}
    written: dict[Path, int] = {}
    rows = []
    for part in parts:
        key = (part.dataset, part.path)
        known = key in names
        name = names.setdefault(key, _free_name(part, names.values()))
        if not known:
            for split in splits:
                volumes = load_split([part], split, cache, announce)
                kept = detail if split == "train" else replace(detail, slices=None)
                written |= dict(_write(each.volume, folder / name / split, kept) for each in volumes)
            announce(f"{name}: {sum(path.is_relative_to(folder / name) for path in written)} volumes")
        modality = part.modality or CLASSES[part.class_index].modality
        named = {"class": part.class_name} if part.class_name else {}
        often = {"repeat": part.repeat} if part.repeat > 1 else {}
        rows.append({"path": name, "modality": modality} | named | often)
    listed = folder / "data.yaml"
    with whole_file(listed) as temporary:
        temporary.write_text(yaml.safe_dump(rows, sort_keys=False), encoding="utf-8")
    return Packed(listed, len(written), sum(written.values()))


def _free_name(part: DataPart, taken: Iterable[str]) -> str:
    stem, used = part.path.resolve().name if part.path else part.dataset.partition(":")[0], set(taken)
    candidates = [stem, *(f"{stem}-{number}" for number in range(1, len(used) + 1))]
    return next(name for name in candidates if name not in used)


def _write(volume: Prepared, folder: Path, detail: Detail) -> tuple[Path, int]:
    """One volume, and its size as a file."""
    every = math.ceil(volume.data.shape[0] / detail.slices) if detail.slices else 1
    levels = detail.ct_levels if volume.modality == "CT" else detail.mr_levels
    image = volume.network()[::every].permute(1, 2, 0)  # (X, Y, Z), as NIfTI has it
    stored = ((image + 1) * (levels / 2)).round().clamp(0, levels).numpy().astype(np.uint8)
    dz, dx, dy = volume.spacing
    picture = nib.Nifti1Image(stored, np.diag([dx, dy, dz * every, 1.0]))
    low, high = CT_WINDOW if volume.modality == "CT" else (0.0, 1.0)
    picture.header.set_slope_inter((high - low) / levels, low)
    picture.header.set_xyzt_units("mm")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{volume.case.id.removeprefix(f'{volume.case.split}/').replace('/', '-')}.nii.gz"
    with whole_file(path) as temporary:
        temporary.write_bytes(gzip.compress(picture.to_bytes(), mtime=0))
    return path, path.stat().st_size
