"""What an earlier run of this suite wrote, known by its content: only that may be overwritten.

A folder is ours if its ``result.json`` lists every file in it with the SHA-256 that the file still has. A single file
is ours if it says so inside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets.identity import file_sha256
from recon.io.nifti.header import PROGRAM

MARKER = "result.json"
"""The file by which a folder is known to be an output of this suite."""

FILES = "files"
"""The entry of ``result.json`` that lists the other files of the folder with their hashes."""

_HDF5_FORMATS = ("recon-sinogram", "recon-kspace")
_LARGEST_JSON = 1 << 28


def fingerprints(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path: the entry ``files`` of ``result.json``."""
    return {name: file_sha256(folder / name) for name in sorted(_names(folder)) if name != MARKER}


def foreign(folder: Path) -> str | None:
    """Why a folder is not wholly an earlier output of this suite; None if it is (or if it is empty)."""
    present = set(_names(folder))
    if not present:
        return None
    if MARKER not in present:
        return f"there is no {MARKER} in it"
    listed = _listed(folder / MARKER)
    if listed is None:
        return f"its {MARKER} is not one that lists the files of a run"
    unknown = sorted(present - set(listed) - {MARKER})
    if unknown:
        return f"{unknown[0]} in it is no file of that run"
    changed = next((name for name in sorted(present & set(listed)) if _hash(folder / name) != listed[name]), None)
    return None if changed is None else f"{changed} in it was changed since that run"


def is_ours(path: Path) -> bool:
    """Whether a file says inside that this suite wrote it; an empty file holds nothing that could be lost."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start:
        return True
    if start == b"\x89HDF\r\n\x1a\n":
        return _hdf5_is_ours(path)
    if start == b"\x89PNG\r\n\x1a\n":
        return _picture_is_ours(path)
    if start.lstrip()[:1] == b"{":
        content = _json(path)
        return content.get("format") == "data-set-manifest" or _is_result(content)
    return _nifti_is_ours(path)


def _names(folder: Path) -> Iterator[str]:
    """Relative paths of everything below a folder but the folders themselves; a link is named and not followed."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            yield from (f"{entry.name}/{name}" for name in _names(entry))
        else:
            yield entry.name


def _listed(path: Path) -> dict[str, str] | None:
    content = _json(path)
    files = content.get(FILES)
    return files if _is_result(content) and isinstance(files, dict) else None


def _is_result(content: dict[str, Any]) -> bool:
    versions = content.get("versions")
    return isinstance(content.get("task"), str) and isinstance(versions, dict) and "recon" in versions


def _hash(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() and not path.is_symlink() else None


def _json(path: Path) -> dict[str, Any]:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_JSON:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _hdf5_is_ours(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs.get("format")) in _HDF5_FORMATS
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return False


def _picture_is_ours(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == PROGRAM
    except (OSError, ValueError, SyntaxError):
        return False


def _nifti_is_ours(path: Path) -> bool:
    from recon.io.nifti.volume import header_of

    header = header_of(path)
    return header is not None and bytes(header["descrip"].item()).rstrip(b"\0").decode("latin1") == PROGRAM
