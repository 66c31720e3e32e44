"""What tells one version of a file (or DICOM folder) from another: quickly by its size and time, surely by SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from datasets.case import AGE, GENERATED, SEX, Case

_BLOCK = 1 << 20


def quick_identity(source: Case | Path | str) -> str:
    """Path, size and time of change of a file, or of every file of a folder; cheap, and new when a file is replaced.

    Args:
        source: a case; or a file or folder; or text that is an identity already, such as a SHA-256 of a manifest.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if isinstance(source, str):
        return source
    if isinstance(source, Path):
        return "\n".join(_stamp(file) for file in _files(source))
    if GENERATED in source.details:
        return f"{source.id}\n{_listed(source.details)}"
    of_the_image = {name: value for name, value in source.details.items() if name not in (AGE, SEX)}
    return f"{quick_identity(source.path)}\n{_listed(of_the_image)}"


def _listed(details: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(details.items()))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal; of a folder, that of its files' names and SHA-256, in order of name.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_dir():
        return _sha256(path)
    listing = "".join(f"{_sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in _files(path))
    return hashlib.sha256(listing.encode("utf-8")).hexdigest()


def content_sha256(case: Case) -> str:
    """Hash of a case's content; of a generated one, of what it is generated from. Computed once for each version.

    Raises:
        OSError: it cannot be read.
    """
    return _content_sha256(case, quick_identity(case))


@lru_cache(maxsize=4096)
def _content_sha256(case: Case, version: str) -> str:
    if GENERATED in case.details:
        return hashlib.sha256(json.dumps([case.id, dict(case.details)], sort_keys=True).encode()).hexdigest()
    return file_sha256(case.path)


def _files(path: Path) -> list[Path]:
    """The file itself, or all files of a folder but hidden ones, in an order that no file system decides."""
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return sorted(found, key=lambda file: file.relative_to(path).as_posix())


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
