"""Run a table of real scans: find the files, prepare each scan once, run the methods, put the table together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured.cells import cell_key, columns, compute
from benchmarks.measured.results import CellStore, MeasuredCell, MeasuredResult, RowResult
from benchmarks.measured.scans import Prepared, prepare
from benchmarks.measured.scores import worse
from benchmarks.measured.spec import MeasuredSpec, RowSpec, find_file
from benchmarks.table.crime import in_name
from recon.errors import InputError, RunError
from recon.run.outcome import BASELINES

Announce = Callable[[str], None]


@dataclass(frozen=True)
class MeasuredRequest:
    """What is to be run.

    Attributes:
        table: name of the table.
        spec: the specification of the table.
        folders: folders that hold the files.
        methods: names of the methods, ``auto`` among them; none for all of the modality.
        out: folder of the results of this table.
    """

    table: str
    spec: MeasuredSpec
    folders: tuple[Path, ...]
    out: Path
    methods: tuple[str, ...] = ()

    @property
    def cells(self) -> CellStore:
        """The cells that are kept."""
        return CellStore(self.out / "cells")


def run_measured(request: MeasuredRequest, announce: Announce = print) -> MeasuredResult:
    """Compute the cells that are missing and put the table together.

    Args:
        request: what is to be run.
        announce: called with one line for each cell and each row that is left out.

    Raises:
        InputError: no such method, or none of the files in the folders.
    """
    names = columns(request.spec.modality, request.methods)
    rows: list[RowResult] = []
    left: list[tuple[str, str]] = []
    for row in request.spec.rows:
        found = _row(request, row, names, announce)
        if isinstance(found, str):
            left.append((row.name, found))
            announce(f"{row.name}: left out: {found}")
        else:
            rows.append(found)
    if not rows:
        raise InputError(f"`data`: no row of {request.table} can be measured; {left[0][0]}: {left[0][1]}")
    return MeasuredResult(request.table, request.spec.title, request.spec.modality, tuple(rows), tuple(left))


def _row(request: MeasuredRequest, row: RowSpec, names: list[str], announce: Announce) -> RowResult | str:
    """The row's results, or in one line why there are none."""
    places = {name: find_file(name, request.folders) for name in row.files}
    missing = [name for name, path in places.items() if path is None]
    if missing:
        return f"{', '.join(missing)}: in none of the folders of `data`"
    files = tuple(path for path in places.values() if path is not None)
    known = {name: request.cells.get(cell_key(row, files, name)) for name in names}
    cells = [cell for cell in known.values() if cell is not None]
    if len(cells) < len(names):
        try:
            prepared = prepare(row, files)
        except (InputError, RunError, ValueError) as error:
            return " ".join(str(error).split())
        cells = [_cell(request, prepared, row, files, name, announce) for name in names]
    return _together(request, row, files, cells)


def _cell(
    request: MeasuredRequest, prepared: Prepared, row: RowSpec, files: tuple[Path, ...], name: str, announce: Announce
) -> MeasuredCell:
    cell = compute(prepared, row, files, name, request.cells)
    announce(f"{row.name}, {name}: {cell.refused or f'{cell.seconds:.0f} s'}")
    return cell


def _together(request: MeasuredRequest, row: RowSpec, files: tuple[Path, ...], cells: list[MeasuredCell]) -> RowResult:
    direct = cells[0]
    return RowResult(
        row.name,
        files[0].name,
        row.score,
        in_name(row.name),
        BASELINES[request.spec.modality],
        direct.scores,
        tuple(cells),
        {cell.method: worse(row.score, cell.scores, direct.scores) for cell in cells},
    )
