"""What is shown of a folder or of files: which volumes, as what, in which window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recon.errors import InputError
from recon.io.nifti.volume import is_nifti

_MOST = 32
"""Volumes of one page."""


@dataclass(frozen=True)
class Shown:
    """A volume of the page.

    Attributes:
        path: the NIfTI file.
        label: name on the page.
        is_overlay: whether it is laid over another one in colours: a standard deviation, a mask.
        window: values drawn black and white; None lets the page choose.
    """

    path: Path
    label: str
    is_overlay: bool
    window: tuple[float, float] | None


def find_volumes(paths: Sequence[Path]) -> list[Shown]:
    """The volumes of files and folders, images first; of a folder that a run wrote, its input comes first.

    Raises:
        InputError: a path that does not exist, holds no NIfTI volume, or too many of them.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        found = [*_input_of(path), *sorted(path.glob("*.nii*"))] if path.is_dir() else [path]
        if not found:
            raise InputError(f"{path}: holds no NIfTI volume (.nii, .nii.gz)")
        files |= dict.fromkeys(each.resolve() for each in found)
    bad = [file for file in files if not is_nifti(file)]
    if bad:
        raise InputError(f"{bad[0]}: no NIfTI volume; 'recon info' tells what it is")
    if len(files) > _MOST:
        raise InputError(f"{len(files)} volumes: at most {_MOST} can be shown; name those that are wanted")
    shown = [_shown(file) for file in files]
    return sorted(shown, key=lambda each: each.is_overlay)


def _input_of(folder: Path) -> list[Path]:
    """The input that a run's ``result.json`` names, where it is a NIfTI file that is still there."""
    try:
        named = json.loads((folder / "result.json").read_text(encoding="utf-8"))["input"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    path = Path(named) if isinstance(named, str) else folder
    return [path] if path.is_file() and is_nifti(path) else []


def _shown(file: Path) -> Shown:
    from recon.io.nifti.volume import load_stored

    stem = file.name.removesuffix(".gz").removesuffix(".nii")
    is_overlay = stem.startswith("std") or "mask" in stem or "label" in stem
    values = load_stored(file, None).array
    in_hu = float(values.min()) < -500
    return Shown(file, stem, is_overlay, (-160.0, 240.0) if in_hu and not is_overlay else None)
