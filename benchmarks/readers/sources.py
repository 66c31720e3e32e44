"""Which files a study shows: the volumes in the folders of the methods, matched by their names or drawn by the seed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Match = Literal["auto", "name", "draw"]

SUFFIXES = (".nii.gz", ".nii")
RUN_VOLUME = "recon.nii.gz"
"""The volume in a folder that ``recon svct`` or ``recon mri`` wrote; the folder's name is that of the case."""


@dataclass(frozen=True)
class Sets:
    """The files that are shown together.

    Attributes:
        sets: the file of every method by its name, for each case.
        is_matched: whether the files of a case have one name, and are taken to show one anatomy.
    """

    sets: tuple[dict[str, Path], ...]
    is_matched: bool


def volumes_in(folder: Path) -> dict[str, Path]:
    """Names and files of the NIfTI volumes in a folder, and of the results of runs in its subfolders, sorted by name.

    Raises:
        ValueError: no folder, or no volume in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder; the folder with the volumes of one method is wanted")
    found = {}
    for path in folder.iterdir():
        suffix = next((end for end in SUFFIXES if path.name.endswith(end)), None)
        if suffix and path.is_file():
            found[path.name.removesuffix(suffix)] = path
        elif (path / RUN_VOLUME).is_file():
            found[path.name] = path / RUN_VOLUME
    if not found:
        raise ValueError(f"{folder}: holds no volume; NIfTI files, or folders with {RUN_VOLUME}, are wanted")
    return dict(sorted(found.items()))


def choose_sets(folders: Mapping[str, Path], count: int, extra: int, match: Match, seed: int) -> Sets:
    """The files of ``count`` cases, and of up to ``extra`` more where there are enough volumes.

    Args:
        folders: the folder of each method by its name.
        count: the number of cases that are ranked.
        extra: the number of further cases, for practice and for the attention control.
        match: ``name`` takes files of one name as one case, ``draw`` puts volumes together by chance, ``auto`` matches
            by name where enough names are in all folders and no volume of these was generated.
        seed: the seed of the draw.

    Raises:
        ValueError: a folder without volumes, or too few of them.
    """
    found = {name: volumes_in(folder) for name, folder in folders.items()}
    shared = sorted(set.intersection(*(set(files) for files in found.values())))
    generator = np.random.default_rng(seed)
    if match == "auto":
        generated = any(_is_generated(files[name]) for files in found.values() for name in shared)
        match = "name" if len(shared) >= count and not generated else "draw"
    if match == "name":
        if len(shared) < count:
            raise ValueError(
                f"`cases` {count}: only {len(shared)} names of volumes are in all folders; give fewer cases, or "
                "`match` draw"
            )
        names = [shared[i] for i in generator.permutation(len(shared))[: count + extra]]
        return Sets(tuple({method: files[name] for method, files in found.items()} for name in names), True)
    least = min(found, key=lambda method: len(found[method]))
    if len(found[least]) < count:
        raise ValueError(f"`cases` {count}: {folders[least]} holds only {len(found[least])} volumes; give fewer cases")
    total = min(count + extra, len(found[least]))
    drawn = {m: [list(f.values())[i] for i in generator.permutation(len(f))[:total]] for m, f in found.items()}
    return Sets(tuple({method: files[i] for method, files in drawn.items()} for i in range(total)), False)


def _is_generated(path: Path) -> bool:
    """Whether ``recon generate`` wrote a volume, whose name then says nothing of a patient."""
    suffix = next(end for end in SUFFIXES if path.name.endswith(end))
    try:
        content = json.loads(path.with_name(path.name.removesuffix(suffix) + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("task") == "generate"
