"""Results of a table's cells as they are stored, and a table as a pure function of them."""

from __future__ import annotations

import hashlib
import json
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table.crime import INVERSE_CRIME, in_name
from datasets.identity import file_sha256
from datasets.whole_file import whole_file

Metrics = dict[str, float | None]

_SHA256, _PICTURES = "sha256", "pictures_sha256"
"""What a cell's file states beside the result."""

_KEY = re.compile(r"[0-9A-Za-z-]+")


@dataclass(frozen=True)
class CellResult:
    """One method on one measurement.

    Attributes:
        key: hash of everything that the result depends on.
        case: id of the case.
        subject: the subject of the case.
        group: the group that cases are shown apart by, such as fastMRI's acquisition; "" for none.
        operator: name of the measurement within the table.
        method: name of the method.
        metrics: the metrics by convention (``primary``, ``paper``) and name.
        seconds: the seconds of the method alone.
        peak_rss_mb: most memory of the process while the method ran.
        weights: hash of each network that took part.
        measurement_sha256: the hash of the data that the method saw.
        truth_sha256: the hash of the ground truth that the result was compared with.
        size: (z, y, x) voxels that were scored.
        true_acceleration: MR.
        seed: the seed of the method's randomness.
        device: the device in words.
        versions: the versions of the packages that ran.
        picture: name of the ``.npz`` beside it, or None.
    """

    key: str
    case: str
    subject: str
    group: str
    operator: str
    method: str
    metrics: dict[str, Metrics]
    seconds: float
    peak_rss_mb: float
    weights: dict[str, str] | None
    measurement_sha256: str
    truth_sha256: str
    size: tuple[int, int, int]
    true_acceleration: float | None
    seed: int
    device: str
    versions: dict[str, str]
    picture: str | None = None


@dataclass(frozen=True)
class Absent:
    """A cell without a result: which, and why in one line."""

    case: str
    operator: str
    method: str
    reason: str


@dataclass(frozen=True)
class Budget:
    """What a method's network was trained with: rows of (method, recipe, steps, device, seconds, subjects, hash)."""

    method: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class TableResult:
    """Everything that a table, a page or a comparison is made of.

    Attributes:
        table: its name.
        title: the title with the data set; it says where this is not the paper's.
        modality: the modality of all cases.
        operators, methods: the operators and the methods in the table's order, methods with their labels.
        cells: results.
        absent: cells without one.
        budgets: the training budgets of the networks.
        data_sha256: hash of all cases' contents.
    """

    table: str
    title: str
    modality: str
    operators: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    cells: tuple[CellResult, ...]
    absent: tuple[Absent, ...] = ()
    budgets: tuple[Budget, ...] = ()
    data_sha256: str = ""

    def by_simulation(self) -> list[TableResult]:
        """The rows that are no inverse crime, then those that are: their figures are never pooled."""
        parts = []
        for crime in (False, True):
            rows = tuple(row for row in self.operators if in_name(row) == crime)
            cells = tuple(cell for cell in self.cells if cell.operator in rows)
            if cells:
                parts.append(replace(self, operators=rows, cells=cells))
        return parts

    @property
    def crime(self) -> str:
        """What stands beside figures of all rows together: the words for an inverse crime, if any of them is one."""
        return INVERSE_CRIME if any(map(in_name, self.operators)) else ""

    def values(self, method: str, metric: str, convention: str = "primary", operator: str | None = None) -> list[float]:
        """A metric of a method over all cases that have it, in the order of the cases' ids."""
        found = sorted(self._of(method, operator), key=lambda cell: (cell.case, cell.operator))
        values = (cell.metrics[convention].get(metric) for cell in found)
        return [value for value in values if value is not None and math.isfinite(value)]

    def paired(self, one: str, other: str, metric: str, convention: str = "primary") -> list[tuple[float, float]]:
        """A metric of two methods on the measurements that both have."""
        others = {(cell.case, cell.operator): cell for cell in self._of(other, None)}
        pairs = []
        for cell in sorted(self._of(one, None), key=lambda cell: (cell.case, cell.operator)):
            match = others.get((cell.case, cell.operator))
            values = [each.metrics[convention].get(metric) for each in (cell, match) if each is not None]
            known = [value for value in values if value is not None and math.isfinite(value)]
            if len(known) == 2:
                pairs.append((known[0], known[1]))
        return pairs

    def _of(self, method: str, operator: str | None) -> list[CellResult]:
        return [cell for cell in self.cells if cell.method == method and operator in (None, cell.operator)]


@dataclass(frozen=True)
class Store:
    """A folder of cells, ``cells/<key>.json`` and ``.npz``, and of tables, ``<table>.json``.

    Every file appears in one step, the picture before the result that names it. A result states its own hash and that
    of its pictures, and one that does not have its hash counts as absent.
    """

    folder: Path

    def cell(self, key: str) -> CellResult | None:
        """The result of a key; None if it is not there or damaged."""
        try:
            return _cell(self._content(key))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def _content(self, key: str) -> dict[str, Any]:
        """What a cell's file holds.

        Raises:
            OSError, ValueError, TypeError, KeyError, RecursionError: it cannot be read, or was changed.
        """
        content = json.loads(self._path(key).read_text(encoding="utf-8"))
        if content.pop(_SHA256) != _sha256(content):
            raise ValueError("changed since it was written")
        return dict(content)

    def put(self, cell: CellResult, pictures: dict[str, np.ndarray]) -> None:
        """Keep a result with its pictures."""
        self._path(cell.key).parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self._path(cell.key).with_suffix(".npz")) as temporary:
            with temporary.open("wb") as stream:
                np.savez_compressed(stream, **pictures)  # type: ignore[arg-type]
            pictures_sha256 = file_sha256(temporary)
        content = _plain(cell) | {_PICTURES: pictures_sha256}
        with whole_file(self._path(cell.key)) as temporary:
            text = json.dumps(content | {_SHA256: _sha256(content)}, sort_keys=True, allow_nan=False)
            temporary.write_text(text, encoding="utf-8")

    def pictures(self, cell: CellResult) -> dict[str, np.ndarray]:
        """The pictures of a result; empty if they are gone or were changed."""
        path = self._path(cell.key).with_suffix(".npz")
        try:
            if file_sha256(path) != self._content(cell.key)[_PICTURES]:
                return {}
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, TypeError, KeyError, RecursionError, zipfile.BadZipFile, zlib.error):
            return {}

    def put_table(self, result: TableResult) -> None:
        """Keep a table: its cells by key, everything else as it is."""
        content = asdict(result) | {"cells": [cell.key for cell in result.cells]}
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / f"{result.table}.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def table(self, name: str) -> TableResult:
        """A table as it was last run.

        Args:
            name: the table's name, or the YAML file that it was run from.

        Raises:
            ValueError: it was not run here, or its file or one of its cells is damaged.
        """
        given, name = name, Path(name).stem  # a run names its results after the file, without folder and ending
        path = self.folder / f"{name}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            cells = [cell for key in content["cells"] if (cell := self._known_cell(key, name)) is not None]
            return TableResult(
                table=content["table"],
                title=content["title"],
                modality=content["modality"],
                operators=tuple(content["operators"]),
                methods=tuple((method, label) for method, label in content["methods"]),
                cells=tuple(cells),
                absent=tuple(Absent(**each) for each in content["absent"]),
                budgets=tuple(Budget(**each) for each in content["budgets"]),
                data_sha256=content["data_sha256"],
            )
        except FileNotFoundError:
            raise ValueError(f"{self.folder}: {name} was not run here; 'benchmarks run {given}' does") from None
        except _DamagedCellError:
            raise
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"{path}: damaged: {error}") from error

    def _known_cell(self, key: str, table: str) -> CellResult | None:
        """A cell of a table that was run; None where its file is gone.

        Raises:
            ValueError: its file was damaged or changed.
        """
        path = self._path(key)
        cell = self.cell(key) if _KEY.fullmatch(key) else None
        if cell is None and path.exists():
            raise _DamagedCellError(
                f"{path}: damaged, changed since it was written, or of an earlier version; 'benchmarks run {table}' "
                "computes it anew"
            )
        return cell

    def _path(self, key: str) -> Path:
        return self.folder / "cells" / f"{key}.json"


class _DamagedCellError(ValueError):
    """A cell's file is not what was written."""


def _cell(content: dict[str, Any]) -> CellResult:
    z, y, x = content["size"]
    known = {name: value for name, value in content.items() if name != _PICTURES}
    return CellResult(**(known | {"size": (int(z), int(y), int(x))}))


def _plain(cell: CellResult) -> dict[str, Any]:
    """Plain values as they come back from JSON; a metric that is no finite number is none."""
    values = asdict(cell)
    values["metrics"] = {
        convention: {name: value if value is not None and math.isfinite(value) else None for name, value in own.items()}
        for convention, own in cell.metrics.items()
    }
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def methods_with_results(result: TableResult) -> Sequence[tuple[str, str]]:
    """The columns that have at least one result, in the table's order."""
    present = {cell.method for cell in result.cells}
    return [(method, label) for method, label in result.methods if method in present]
