"""A cell of a table of real scans: what it depends on, and how it is computed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.measured.results import CellStore, MeasuredCell, finite
from benchmarks.measured.scans import Prepared
from benchmarks.measured.spec import HERE, RowSpec
from benchmarks.table.cells import tensor_sha256
from benchmarks.table.dependencies import code_sha256, measuring_sha256
from datasets.identity import file_sha256
from priors.weights.card import read_card
from priors.weights.store import entries
from recon.errors import InputError, RunError
from recon.methods import get_method, method_names
from recon.run.choose import AUTO, choose_method
from recon.run.outcome import BASELINES, reconstruct
from recon.scan.volume import Modality

_SEED = 0


def columns(modality: Modality, asked: tuple[str, ...]) -> list[str]:
    """The methods to run, the direct one first, since the others are compared with it.

    Args:
        modality: CT or MR.
        asked: names that the user gives, ``auto`` among them; none for all.

    Raises:
        InputError: no such method.
    """
    for name in asked:
        if name != AUTO:
            get_method(modality, name, "methods")
    direct = BASELINES[modality]
    return list(dict.fromkeys([direct, *(asked or (AUTO, *method_names(modality)))]))


def cell_key(row: RowSpec, files: tuple[Path, ...], method: str) -> str:
    """Hash of everything that a cell's result depends on; another name of the row changes nothing."""
    how = row.model_dump(mode="json", exclude={"name"})
    facts = {
        "row": how,
        "files": [_file_sha256(path, path.stat().st_mtime_ns) for path in files],
        "method": method,
        "weights": _weights_sha256(row.modality, method),
        "code": [_code_sha256(row.modality, method), measuring_sha256(), _own_sha256()],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:40]


@lru_cache(maxsize=64)
def _file_sha256(path: Path, changed: int) -> str:
    return file_sha256(path)


def _code_sha256(modality: Modality, method: str) -> str:
    """Hash of a method's code; of that of all methods for the default, which chooses among them."""
    names = method_names(modality) if method == AUTO else [method]
    return hashlib.sha256("".join(code_sha256(modality, name) for name in names).encode()).hexdigest()


@lru_cache(maxsize=1)
def _own_sha256() -> str:
    """Hash of how scans are read and scored here."""
    files = [HERE / name for name in ("scans.py", "scores.py", "parallel.yaml")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _weights_sha256(modality: Modality, method: str) -> list[str]:
    """Hashes of all installed networks, for methods with networks: which one a method takes, the scan decides."""
    if method != AUTO and get_method(modality, method).weights is None:
        return []
    return sorted({hashed for entry in entries() for hashed in _card_sha256(entry.path)})


def _card_sha256(path: Path) -> list[str]:
    try:
        card = read_card(path)
        return [card.sha256, json.dumps([card.config, card.extra.get("calibration")], sort_keys=True, default=str)]
    except ValueError:
        return [f"damaged {path.name}"]


def compute(prepared: Prepared, row: RowSpec, files: tuple[Path, ...], method: str, store: CellStore) -> MeasuredCell:
    """The cell of a method: from the store, else computed and kept, a refusal of the scan too.

    The default takes the cell of the method that it chooses.
    """
    known = store.get(cell_key(row, files, method))
    if known is not None:
        return known
    if method == AUTO:
        return _default(prepared, row, files, store)
    cell, pictures = _run(prepared, row, cell_key(row, files, method), method)
    store.put(cell, pictures)
    return cell


def _default(prepared: Prepared, row: RowSpec, files: tuple[Path, ...], store: CellStore) -> MeasuredCell:
    taken, why = choose_method(AUTO, prepared.scan.measurement, row.modality, {})
    chosen = compute(prepared, row, files, taken, store)
    notices = tuple(dict.fromkeys((*why, *chosen.notices)))
    cell = replace(chosen, key=cell_key(row, files, AUTO), method=AUTO, notices=notices)
    store.put(cell, store.pictures(chosen.key))
    return cell


def _run(prepared: Prepared, row: RowSpec, key: str, method: str) -> tuple[MeasuredCell, dict[str, np.ndarray]]:
    """The cell and its pictures. Only the measurement goes into the method."""
    scan = prepared.scan
    seen = tensor_sha256(scan.measurement.y)
    try:
        outcome = reconstruct(scan.measurement, scan.grid, method, seed=_SEED)
        assert outcome.answer is not None
        scores = finite(prepared.score(outcome.result, outcome.answer.mean))
    except (InputError, RunError, ValueError) as error:  # the packages below raise ValueError
        refused = " ".join(str(error).split())
        return MeasuredCell(key, method, method, {}, refused=refused, measurement_sha256=seen), {}
    cell = MeasuredCell(
        key,
        method,
        outcome.method,
        scores,
        outcome.seconds,
        notices=outcome.all_notices,
        weights=outcome.weights,
        measurement_sha256=seen,
        device=outcome.device,
        sides_known=prepared.sides_known,
        pixel=prepared.pixel,
    )
    pictures = {"image": outcome.result.data[len(outcome.result.data) // 2].numpy()}
    if prepared.reference is not None:
        pictures["reference"] = prepared.reference
    return cell, pictures
