"""Which files below a folder are NIfTI, which folders hold DICOM files, and what else lies there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.dicom_file import is_dicom

_NIFTI = (".nii.gz", ".nii")


@dataclass(frozen=True)
class FolderListing:
    """NIfTI files, folders that hold DICOM files directly, and other files; each in order of path."""

    nifti: list[Path]
    dicom: list[Path]
    others: list[Path]


def list_folder(root: Path) -> FolderListing:
    """Look at every file below ``root`` but hidden ones; links to folders are followed, each folder once.

    NIfTI files are known by their name (a damaged one still counts, so that reading it says so), DICOM files by
    their first bytes.
    """
    nifti, dicom, others = [], set(), []
    for path in _files(root):
        if is_nifti_name(path.name):
            nifti.append(path)
        elif is_dicom(path):
            dicom.add(path.parent)
        else:
            others.append(path)
    return FolderListing(sorted(nifti), sorted(dicom), sorted(others))


def is_nifti_name(name: str) -> bool:
    """Whether a file of this name should be NIfTI."""
    return name.lower().endswith(_NIFTI)


def without_suffix(name: str) -> str:
    """A name without ``.nii`` or ``.nii.gz``."""
    suffix = next((suffix for suffix in _NIFTI if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def _files(root: Path) -> Iterator[Path]:
    seen = {os.path.realpath(root)}
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = [name for name in sorted(below) if not name.startswith(".") and _is_new(Path(folder, name), seen)]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether this is the first path to a folder; a link to one above it would go round for ever."""
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new
