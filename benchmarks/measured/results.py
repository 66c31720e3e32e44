"""Results of a table of real scans: its cells on the disk, each verified by its hash, and the table as a whole."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured.scores import Scores
from benchmarks.measured.spec import ScoreKind
from datasets.whole_file import whole_file

_SHA256, _PICTURE = "sha256", "picture_sha256"


@dataclass(frozen=True)
class MeasuredCell:
    """One method on one scan.

    Attributes:
        key: hash of everything that the result depends on.
        method: name of the column; ``auto`` is the default.
        taken: the method that ran; another one for ``auto``.
        scores: figures by name; empty where the method refused the scan.
        seconds: the seconds of the method alone.
        refused: why the method has no result, in one line; "" where it has.
        notices: what the reader of the result must know.
        weights: hash of each network that took part.
        measurement_sha256: hash of the data that the method saw.
        device: the device in words.
        sides_known: whether it is known where the patient's sides are in the picture.
        pixel: width of a pixel of the picture in mm; None where it is not known.
    """

    key: str
    method: str
    taken: str
    scores: Scores
    seconds: float = 0.0
    refused: str = ""
    notices: tuple[str, ...] = ()
    weights: dict[str, str] | None = None
    measurement_sha256: str = ""
    device: str = ""
    sides_known: bool = False
    pixel: float | None = None


@dataclass(frozen=True)
class RowResult:
    """All methods on one scan.

    Attributes:
        name: name of the row.
        file: name of its file.
        score: how it is scored.
        inverse_crime: whether the operator that reconstructs made its data.
        direct: name of the direct method.
        direct_scores: its figures.
        cells: one for each method.
        worse: whether each method is worse than the direct one, by its name; None where that cannot be told.
    """

    name: str
    file: str
    score: ScoreKind
    inverse_crime: bool
    direct: str
    direct_scores: Scores
    cells: tuple[MeasuredCell, ...]
    worse: Mapping[str, bool | None]


@dataclass(frozen=True)
class MeasuredResult:
    """A table of real scans.

    Attributes:
        table: name of the table.
        title: title of the table.
        modality: CT or MR.
        rows: its scans.
        left_out: rows without a measurement, each with the reason in one line.
    """

    table: str
    title: str
    modality: str
    rows: tuple[RowResult, ...]
    left_out: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: each cell with the direct method's figures beside its own."""
        rows = []
        for row in self.rows:
            cells = [
                asdict(cell) | {"direct_scores": row.direct_scores, "worse_than_direct": row.worse[cell.method]}
                for cell in row.cells
            ]
            facts = {"name": row.name, "file": row.file, "score": row.score, "inverse_crime": row.inverse_crime}
            rows.append(facts | {"direct": row.direct, "direct_scores": row.direct_scores, "cells": cells})
        left_out = [{"row": name, "reason": reason} for name, reason in self.left_out]
        return {"table": self.table, "title": self.title, "modality": self.modality, "rows": rows, "left_out": left_out}


@dataclass(frozen=True)
class CellStore:
    """A folder of cells, ``<key>.json`` with figures and ``<key>.npz`` with the middle slice."""

    folder: Path

    def get(self, key: str) -> MeasuredCell | None:
        """The cell of a key; None if it is not there, or is not what was written."""
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
            if content.pop(_SHA256) != _hash(content):
                return None
            content.pop(_PICTURE)
            return MeasuredCell(**(content | {"notices": tuple(content["notices"])}))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def put(self, cell: MeasuredCell, pictures: Mapping[str, np.ndarray]) -> None:
        """Keep a cell with its pictures, middle slices (y, x): ``image``, and ``reference`` where there is one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        picture_sha256 = None
        if pictures:
            stream = io.BytesIO()
            arrays = {name: picture.astype(np.float32) for name, picture in pictures.items()}
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
            picture_sha256 = hashlib.sha256(stream.getvalue()).hexdigest()
            with whole_file(self._path(cell.key).with_suffix(".npz")) as temporary:
                temporary.write_bytes(stream.getvalue())
        content = asdict(cell) | {"scores": finite(cell.scores), _PICTURE: picture_sha256}
        content = json.loads(json.dumps(content))
        with whole_file(self._path(cell.key)) as temporary:
            text = json.dumps(content | {_SHA256: _hash(content)}, sort_keys=True, allow_nan=False)
            temporary.write_text(text, encoding="utf-8")

    def pictures(self, key: str) -> dict[str, np.ndarray]:
        """The middle slices of a cell; empty if there are none, or they were changed."""
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
            data = self._path(key).with_suffix(".npz").read_bytes()
            if hashlib.sha256(data).hexdigest() != content[_PICTURE]:
                return {}
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, TypeError, KeyError, RecursionError, zipfile.BadZipFile, zlib.error):
            return {}

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def finite(scores: Scores) -> Scores:
    """Figures with None for what is no finite number."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in scores.items()}


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
