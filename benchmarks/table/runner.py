"""Run a table: which cases, which cells are missing, whether the comparison is fair; then compute and put together."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.table.cells import Job, all_weights, case_sha256, cell_key, method_weights, why_unsuitable
from benchmarks.table.execute import OnDone, run_jobs
from benchmarks.table.results import Absent, Budget, CellResult, Store, TableResult
from benchmarks.table.spec import MethodSpec, OperatorSpec, TableSpec, check_methods
from datasets import find_entry, open_dataset
from datasets.case import Case
from priors.weights.card import read_card
from recon.errors import InputError, input_errors
from recon.methods.method import DATA_STEP

Execute = Callable[[Sequence[Job], OnDone], None]
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """A data set that a table is run on: its kind and where it lies; None for what ships."""

    dataset: str
    path: Path | None = None


@dataclass(frozen=True)
class Request:
    """What is to be run.

    Attributes:
        table: name of the table.
        spec: the specification of the table.
        sources: data sets; none takes the shipped sample.
        split: the split of the cases.
        most: cases at most; None for all.
        methods: names to run; none for all of the table's.
        weights: the weights by method, instead of those that are installed.
        store: folder of results.
        device: the device on which the methods compute.
    """

    table: str
    spec: TableSpec
    sources: tuple[Source, ...]
    split: str
    store: Path
    most: int | None = None
    methods: tuple[str, ...] = ()
    weights: tuple[tuple[str, str], ...] = ()
    device: str = "cpu"


def run_table(request: Request, execute: Execute | None = None, announce: Announce = print) -> TableResult:
    """Compute the cells that are missing and put the table together.

    Args:
        request: what.
        execute: runs the jobs; None runs them here.
        announce: called with one line about progress.

    Raises:
        InputError: no case, or an unknown method.
        RunError: processes were killed.
    """
    check_methods(request.spec)
    cases = find_cases(request)
    columns, absent = _usable_methods(request, cases)
    keys = _keys(request, cases, columns)
    store, reasons = Store(request.store), list(absent)
    jobs = _missing(request, cases, columns, keys, store)
    announce(f"{len(keys) - len(jobs)} of {len(keys)} cells are there, {len(jobs)} to compute")
    finished, started = 0, time.monotonic()

    def on_done(job: Job, reason: str) -> None:
        nonlocal finished
        finished += 1
        if reason:
            reasons.append(Absent(job.case.id, job.operator.name, job.method.column, reason))
        left = (time.monotonic() - started) / finished * (len(jobs) - finished)
        place = f"{job.case.id}, {job.operator.name}, {job.method.column}"
        announce(f"{finished} of {len(jobs)}, {left:.0f} s left: {place}{': ' + reason if reason else ''}")

    (execute or _here)(jobs, on_done)
    cells = [
        replace(cell, method=column)  # another table may have the same cell under another name
        for (_, _, column), key in keys.items()
        if (cell := store.cell(key)) is not None
    ]
    check_fair(cells)
    result = TableResult(
        table=request.table,
        title=title_of(request),
        modality=request.spec.modality,
        operators=tuple(operator.name for operator in request.spec.operators),
        methods=tuple((method.column, method.label) for method in _asked(request)),
        cells=tuple(cells),
        absent=tuple(reasons),
        budgets=tuple(_budgets(request, columns)),
        data_sha256=hashlib.sha256("".join(case_sha256(case) for case in cases).encode()).hexdigest(),
    )
    store.put_table(result)
    return result


def _here(jobs: Sequence[Job], on_done: OnDone) -> None:
    run_jobs(jobs, 1, on_done)


def find_cases(request: Request) -> list[Case]:
    """The cases of the split, of the table's modality.

    Raises:
        InputError: there is none, or a data set that cannot be opened.
    """
    found: list[Case] = []
    for source in request.sources or (Source("sample"),):
        with input_errors(f"`dataset` {source.dataset}"):
            dataset = open_dataset(source.dataset, source.path, modality=request.spec.modality)
            cases = dataset.cases() if source.dataset == "sample" else dataset.cases(request.split)
        found += [case for case in cases if case.modality == request.spec.modality]
    if not found:
        raise InputError(f"`dataset`: no {request.spec.modality} case in the split {request.split}")
    return found[: request.most]


def title_of(request: Request) -> str:
    """The table's title with its data, and a plain word where they are not the paper's."""
    names = [source.path.name if source.path else source.dataset for source in request.sources] or [
        "the shipped sample"
    ]
    paper = request.spec.paper_dataset
    crime = " (inverse crime)" if request.spec.modality == "CT" else ""  # the operator that reconstructs makes the data
    if request.sources and all(source.dataset == paper for source in request.sources):
        return f"{request.spec.title}{crime}: {find_entry(paper).title}, split {request.split}"
    return f"{request.spec.title}{crime}: {', '.join(names)}; this is not {find_entry(paper).title}"


def _asked(request: Request) -> list[MethodSpec]:
    """The table's methods, or those that were named, with their weights."""
    own = {method.column: method for method in request.spec.methods}
    unknown = [name for name in request.methods if name not in own]
    if unknown:
        raise InputError(f"`methods` {', '.join(unknown)}: not in {request.table}; there are {', '.join(own)}")
    chosen = [own[name] for name in own if not request.methods or name in request.methods]
    given = dict(request.weights)
    stray = sorted(set(given) - {method.method.removesuffix(DATA_STEP) for method in own.values()})
    if stray:
        raise InputError(f"`weights` {stray[0]}=...: no method of {request.table}")
    return [_with_weights(method, given.get(method.method.removesuffix(DATA_STEP))) for method in chosen]


def _with_weights(method: MethodSpec, path: str | None) -> MethodSpec:
    return method.model_copy(update={"settings": method.settings | {"weights": path}}) if path else method


def _usable_methods(request: Request, cases: Sequence[Case]) -> tuple[list[MethodSpec], list[Absent]]:
    """Methods whose weights are there and fair; the others with the reason."""
    usable, absent = [], []
    for method in _asked(request):
        try:
            for operator in request.spec.operators:
                check_leak(all_weights(request.spec.modality, method, operator), cases)
            usable.append(method)
        except InputError as error:
            reason = " ".join(str(error).split())
            absent += [Absent(c.id, o.name, method.column, reason) for c in cases for o in request.spec.operators]
    return usable, absent


def check_leak(weights: Sequence[Path], cases: Sequence[Case], option: str = "`weights`") -> None:
    """Refuse weights that were trained on what they are to be tested on.

    Raises:
        InputError: a case or a subject of the table is in the weights' card, or the card cannot be read.
    """
    for path in weights:
        with input_errors(option):
            extra = read_card(path).extra
        trained = {*extra.get("subjects", ()), *extra.get("cases", ())}
        leaked = sorted({case.subject for case in cases if trained & {case.subject, case.id}})
        if leaked:
            raise InputError(f"{path}: trained on {leaked[0]}, which is among the cases of this table")


def _keys(request: Request, cases: Sequence[Case], columns: Sequence[MethodSpec]) -> dict[tuple[str, str, str], str]:
    """The key of every cell, by case, operator and column."""
    modality = request.spec.modality
    return {
        (case.id, operator.name, method.column): cell_key(case, modality, operator, method)
        for case in cases
        for operator in request.spec.operators
        for method in columns
    }


def _missing(
    request: Request,
    cases: Sequence[Case],
    columns: Sequence[MethodSpec],
    keys: dict[tuple[str, str, str], str],
    store: Store,
) -> list[Job]:
    """One job for each cell that is not in the store."""
    jobs = []
    # A data-consistency step right after its method, whose answer the process still has.
    ordered = sorted(columns, key=lambda method: (method.method.removesuffix(DATA_STEP), method.method))
    for case in cases:
        for operator in request.spec.operators:
            for method in ordered:
                key = keys[case.id, operator.name, method.column]
                if store.cell(key) is None:
                    jobs.append(Job(case, request.spec.modality, operator, method, key, request.store, request.device))
    return jobs


def check_fair(cells: Sequence[CellResult]) -> None:
    """All methods saw the same measurement and were scored on the same voxels.

    Raises:
        InputError: two cells of one measurement differ in either; delete the store and run anew.
    """
    seen: dict[tuple[str, str], set[tuple[Any, ...]]] = defaultdict(set)
    for cell in cells:
        seen[cell.case, cell.operator].add((cell.measurement_sha256, cell.truth_sha256, cell.size))
    for (case, operator), kinds in seen.items():
        if len(kinds) > 1:
            raise InputError(f"{case}, {operator}: the methods did not see the same measurement; use another `out`")


def _budgets(request: Request, columns: Sequence[MethodSpec]) -> list[Budget]:
    """What the networks were trained with, from their cards."""
    budgets = []
    for method in columns:
        path = method_weights(request.spec.modality, method, request.spec.operators[0])
        if path is None or method.method.endswith(DATA_STEP):
            continue
        card = read_card(path)
        extra, recipe = card.extra, card.extra.get("recipe", {})
        facts = {
            "weights": card.sha256[:12],
            "source": card.source,
            "steps": extra.get("step", recipe.get("steps")),
            "batch": recipe.get("batch"),
            "subjects": len(extra.get("subjects", ())) or None,
            "device": extra.get("device"),
            "minutes of the last run": _minutes(extra.get("seconds_of_last_session")),
            "validation": extra.get("validation"),
            "not made for": _others(path, request.spec.operators),
        }
        budgets.append(Budget(method.column, facts))
    return budgets


def _others(path: Path, operators: Sequence[OperatorSpec]) -> str:
    """The rows of the table whose scans a network was not made for, each with the reason; empty if there is none."""
    reasons = {operator.name: why_unsuitable(path, operator) for operator in operators}
    return "; ".join(f"{name} ({reason})" for name, reason in reasons.items() if reason)


def _minutes(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds / 60)
