"""Walk a data set: what is missing, unreadable, duplicated or off, and a manifest of the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmarks.data.doubts import kspace_doubts, volume_doubts
from datasets import find_entry
from datasets.case import SPLITS, Case, DataSet
from datasets.identity import file_sha256
from datasets.manifest import Manifest, Row
from priors.weights.seen import salted
from recon.errors import InputError
from recon.io.cases import read_case
from recon.io.orientation import axis_codes
from recon.scan.volume import Volume

if TYPE_CHECKING:
    from recon.scan.kspace import KSpace

Fault = Literal["missing", "unreadable", "duplicated", "off"]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a case, or with the set (``case`` is then "")."""

    fault: Fault
    case: str
    text: str


@dataclass
class Check:
    """What a walk found.

    Attributes:
        title: the title of the data set.
        manifest: the cases that could be read.
        problems: the problems, in the order in which they were found.
        notes: what one should know and may be as it should.
    """

    title: str
    manifest: Manifest
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_dataset(dataset: DataSet, progress: Callable[[int, int], None] = lambda done, total: None) -> Check:
    """Read every case of a data set once.

    Args:
        dataset: the data set, as :func:`datasets.open_dataset` gives it.
        progress: called with the number of cases done and that of all.

    Raises:
        ValueError: it is not a data set of its kind at all.
    """
    cases = dataset.cases()
    problems = [Problem("missing", "", text) for text in dataset.expected()]
    notes = dataset.remarks() + _empty_splits(cases)
    rows = []
    for index, case in enumerate(cases):
        progress(index, len(cases))
        try:
            row, doubts, remarks = _inspect(case, dataset.root)
        except (InputError, OSError) as error:
            problems.append(Problem("unreadable", case.id, _without(case.path, error)))
            continue
        rows.append(row)
        problems += [Problem("off", case.id, text) for text in doubts]
        notes += [f"{case.id}: {text}" for text in remarks]
    progress(len(cases), len(cases))
    problems += _duplicates(rows) + _leaks(cases)
    return Check(dataset.title, _manifest(dataset.name, rows), problems, notes)


def _manifest(name: str, rows: list[Row]) -> Manifest:
    """The rows; where names may be people's, with hashes in their place, whose salt follows from the contents."""
    if not find_entry(name).names_people:
        return Manifest(name, rows)
    salt = hashlib.sha256("".join(sorted(row.sha256 for row in rows)).encode()).hexdigest()[:32]
    hidden = [replace(row, id=salted(row.id, salt), subject=salted(row.subject, salt), path="") for row in rows]
    return Manifest(name, hidden, salt)


def _inspect(case: Case, root: Path | None) -> tuple[Row, list[str], list[str]]:
    """The manifest's row of a case, doubts about its values, and notes."""
    found = read_case(case)
    if isinstance(found, Volume):
        stored = found.source.affine if found.source else found.affine
        row = _row(case, root, found.data.numpy(), found.spacing, axis_codes(stored))
        return row, *volume_doubts(case, found)
    row = _row(case, root, found.data.numpy(), _kspace_spacing(found), None)
    return row, *kspace_doubts(case, found)


def _row(
    case: Case, root: Path | None, data: np.ndarray, spacing: tuple[float, ...] | None, orientation: str | None
) -> Row:
    voxels = hashlib.sha256(np.ascontiguousarray(data).data).hexdigest()
    values = np.abs(data) if np.iscomplexobj(data) else data
    return Row(
        id=case.id,
        subject=case.subject,
        modality=case.modality,
        kind=case.kind,
        split=case.split,
        path=case.path.relative_to(root).as_posix() if root else "",
        sha256=file_sha256(case.path) if root else voxels,
        voxels_sha256=voxels,
        shape=data.shape,
        spacing=tuple(round(step, 6) for step in spacing) if spacing else None,
        orientation=orientation,
        range=(float(values.min()), float(values.max())),
    )


def _kspace_spacing(kspace: KSpace) -> tuple[float, ...] | None:
    if not kspace.meta.get("spacing_known"):
        return None
    x, y, z = np.linalg.norm(kspace.affine[:3, :3], axis=0)
    return float(z), float(y), float(x)


def _duplicates(rows: list[Row]) -> list[Problem]:
    """Cases whose values are those of an earlier one, whatever their files are called."""
    first: dict[tuple[str, tuple[int, ...]], Row] = {}
    problems = []
    for row in rows:
        original = first.setdefault((row.voxels_sha256, row.shape), row)
        if original is not row:
            text = f"the same values as {original.id} ({original.split}; this one is in {row.split})"
            problems.append(Problem("duplicated", row.id, text))
    return problems


def _leaks(cases: list[Case]) -> list[Problem]:
    """Subjects in more than one split."""
    splits: dict[str, set[str]] = {}
    for case in cases:
        splits.setdefault(case.subject, set()).add(case.split)
    return [
        Problem("off", "", f"subject {subject!r} is in several splits: {', '.join(sorted(found))}")
        for subject, found in splits.items()
        if len(found) > 1
    ]


def _empty_splits(cases: list[Case]) -> list[str]:
    held = {case.split for case in cases}
    empty = [split for split in SPLITS if split not in held]
    return [f"no case in {' and '.join(empty)}"] if empty else []


def _without(path: Path, error: Exception) -> str:
    """The reason without the path, which the case's name says already."""
    return " ".join(str(error).split()).removeprefix(f"{path}: ")
