"""A data set written down: its cases, their content by hash, and one hash of the whole for results to name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from datasets.whole_file import whole_file

VERSION = 1
_IDENTITY = ("id", "subject", "split", "path", "sha256")
"""Fields that the hash covers: which data, whose, and what they are used for; the others follow from the content."""


@dataclass(frozen=True)
class Row:
    """One case. Where names may be people's, ``id`` and ``subject`` are hashes with the manifest's salt.

    Attributes:
        id, subject, modality, kind, split: the fields of :class:`datasets.case.Case`.
        path: relative to the data set's folder, with forward slashes; "" for a generated case, and where names are
            hashes.
        sha256: the hash of the file, of a folder's files, or of a generated case's voxels.
        voxels_sha256: the hash of the values in canonical orientation, which another compression or header leaves
            alone.
        shape: (z, y, x) of the image; of k-space (z, coils, y, x).
        spacing: (z, y, x) in mm; None where the file does not say.
        orientation: directions in which the stored axes grow, such as ``"LPS"``; None where the file does not say.
        range: lowest and highest value; of k-space, magnitude.
    """

    id: str
    subject: str
    modality: str
    kind: str
    split: str
    path: str
    sha256: str
    voxels_sha256: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    orientation: str | None
    range: tuple[float, float]


@dataclass(frozen=True)
class Manifest:
    """The rows of a data set in the order of their ids, whatever order they were given in.

    Attributes:
        data_set: the name of the data set.
        rows: the cases.
        salt: the salt of the hashes that stand for names; "" where names are plain.
    """

    data_set: str
    rows: tuple[Row, ...]
    salt: str = ""

    def __init__(self, data_set: str, rows: Iterable[Row], salt: str = ""):
        object.__setattr__(self, "data_set", data_set)
        object.__setattr__(self, "salt", salt)
        object.__setattr__(self, "rows", tuple(sorted(rows, key=lambda row: row.id)))

    @property
    def sha256(self) -> str:
        """Hash of the cases, their subjects, splits, relative paths and contents: the same wherever the data lie."""
        listing = [[getattr(row, name) for name in _IDENTITY] for row in self.rows]
        return hashlib.sha256(json.dumps([self.data_set, listing]).encode("utf-8")).hexdigest()

    def write(self, path: Path) -> None:
        """Write it as JSON, in one step; a file of that name is replaced."""
        content = {"format": "data-set-manifest", "version": VERSION, "data_set": self.data_set, "sha256": self.sha256}
        content |= {"salt": self.salt} if self.salt else {}
        rows = ",\n  ".join(json.dumps(asdict(row), ensure_ascii=False) for row in self.rows)
        text = json.dumps(content, indent=1)[:-2] + ',\n "cases": [\n  ' + rows + "\n ]\n}\n"
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read_manifest(path: Path) -> Manifest:
    """A manifest that :meth:`Manifest.write` wrote.

    Raises:
        ValueError: it cannot be read, is something else, or was changed since (its hash does not fit).
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or content.get("format") != "data-set-manifest":
        raise ValueError(f"{path}: not a manifest; `benchmarks data check` writes one")
    if content.get("version") != VERSION:
        raise ValueError(f"{path}: manifest version {content.get('version')}; this program reads {VERSION}")
    rows = content.get("cases")
    if not isinstance(rows, list):
        raise ValueError(f"{path}: the manifest has no list of cases")
    manifest = Manifest(str(content.get("data_set")), [_row(path, row) for row in rows], str(content.get("salt", "")))
    if manifest.sha256 != content.get("sha256"):
        raise ValueError(f"{path}: the manifest was changed after it was written (its hash does not fit)")
    return manifest


def _row(path: Path, row: Any) -> Row:
    if not isinstance(row, dict) or set(row) != {field.name for field in fields(Row)}:
        raise ValueError(f"{path}: a case of the manifest lacks a field, or has one too many")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Row(**values)
