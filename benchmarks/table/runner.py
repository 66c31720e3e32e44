"""Run a table: which cases, which cells are missing, whether the comparison is fair; then compute and put together."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.table.cells import Job, cell_key, method_weights, seen_weights, why_unsuitable
from benchmarks.table.crime import INVERSE_CRIME, in_name
from benchmarks.table.execute import OnDone, run_jobs
from benchmarks.table.names import Names, names_for
from benchmarks.table.results import Absent, Budget, CellResult, Store, TableResult
from benchmarks.table.spec import MethodSpec, OperatorSpec, TableSpec, check_methods
from datasets import find_entry, open_dataset
from datasets.case import SPLITS, Case
from datasets.identity import content_sha256
from priors.weights.card import read_card
from priors.weights.seen import seen_in
from recon.errors import InputError, input_errors
from recon.methods.method import DATA_STEP

Execute = Callable[[Sequence[Job], OnDone], None]
Announce = Callable[[str], None]

_TEST = "test"
"""The split that is measured where a data set has splits and none is named."""


_Use = tuple[OperatorSpec, MethodSpec]
"""A row of a table and a method that has weights for it."""


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
        split: the split of the cases; None is the split test of a set that has splits, and all cases of another.
        most: cases at most; None for all.
        methods: names to run; none for all of the table's.
        weights: the weights by method, instead of those that are installed.
        store: folder of results.
        device: the device on which the methods compute.
    """

    table: str
    spec: TableSpec
    sources: tuple[Source, ...]
    split: str | None
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
    cases, names = find_cases(request, announce)
    usable, absent = _usable_methods(request, cases, names)
    keys = _keys(request, cases, usable)
    store, reasons = Store(request.store), list(absent)
    jobs = _missing(request, cases, usable, keys, names)
    announce(f"{len(keys) - len(jobs)} of {len(keys)} cells are there, {len(jobs)} to compute")
    finished, started = 0, time.monotonic()

    def on_done(job: Job, reason: str) -> None:
        nonlocal finished
        finished += 1
        if not reason and store.cell(job.key) is None:
            reason = f"its result did not come to {request.store}; all workers must see that folder"
        if reason:
            case = names.case(job.case)
            reasons.append(Absent(case, job.operator.name, job.method.column, names.without(reason, job.case)))
        left = (time.monotonic() - started) / finished * (len(jobs) - finished)
        known = names.case(job.case)
        case = job.case.id if known == job.case.id else f"{job.case.id} ({known})"
        place = f"{case}, {job.operator.name}, {job.method.column}"
        announce(f"{finished} of {len(jobs)}, {left:.0f} s left: {place}{': ' + reason if reason else ''}")

    (execute or _here)(jobs, on_done)
    named = {case.id: (names.case(case), names.subject(case)) for case in cases}
    cells = [
        # another table may have the same cell under other names
        replace(cell, method=column, case=named[case][0], subject=named[case][1])
        for (case, _, column), key in keys.items()
        if (cell := store.cell(key)) is not None
    ]
    check_fair(cells)
    result = TableResult(
        table=request.table,
        title=_title(request, cases, names),
        modality=request.spec.modality,
        operators=tuple(operator.name for operator in request.spec.operators),
        methods=tuple((method.column, method.label) for method in _asked(request)),
        cells=tuple(cells),
        absent=tuple(reasons),
        budgets=tuple(_budgets(request, usable)),
        data_sha256=hashlib.sha256("".join(content_sha256(case) for case in cases).encode()).hexdigest(),
    )
    store.put_table(result)
    return result


def _here(jobs: Sequence[Job], on_done: OnDone) -> None:
    run_jobs(jobs, 1, on_done)


def find_cases(request: Request, announce: Announce) -> tuple[list[Case], Names]:
    """The cases of the table's modality that are measured, and what results call them.

    Args:
        request: what is to be run.
        announce: is told of each data set what is left out of it.

    Raises:
        InputError: there is none, or a data set that cannot be opened.
    """
    found: list[Case] = []
    hidden: list[Case] = []
    for source in request.sources or (Source("sample"),):
        cases = _cases_of(source, request, announce)
        found += cases
        if find_entry(source.dataset.partition(":")[0]).names_people:
            hidden += cases
    if request.most is not None and len(found) > request.most:
        announce(f"{request.most} of {len(found)} cases are measured, as `cases` says")
    found = found[: request.most]
    return found, names_for([case for case in hidden if case in found], request.store)


def _cases_of(source: Source, request: Request, announce: Announce) -> list[Case]:
    """The cases of one data set, and a line about those that are left out."""
    modality = request.spec.modality
    with input_errors(f"`dataset` {source.dataset}"):
        dataset = open_dataset(source.dataset, source.path, modality=modality)
        split = request.split or (_TEST if dataset.has_splits else None)
        every = [case for case in dataset.cases() if case.modality == modality]
        remarks = dataset.remarks()
    cases = [case for case in every if split in (None, case.split)]
    counts = Counter(case.split for case in every)
    others = ", ".join(f"{counts[each]} in {each}" for each in SPLITS if counts[each] and each != split)
    where = f"{source.dataset}{f' {source.path}' if source.path else ''}"
    if not cases:
        way = f"; there are {others}: name that `split`" if others else ""
        raise InputError(f"`dataset` {where}: no {modality} case in {f'the split {split}' if split else 'it'}{way}")
    if split is not None and others:
        announce(f"{where}: {len(cases)} of {len(every)} cases, the split {split}; left out: {others}")
    for remark in remarks:
        announce(f"{where}: {remark}")
    return cases


def _title(request: Request, cases: Sequence[Case], names: Names) -> str:
    """The table's title; a folder that is a series may be called after its patient."""
    title = title_of(request)
    for case in cases:
        title = names.without(title, case)
    return title


def title_of(request: Request) -> str:
    """The table's title with its data, and a plain word where they are not the paper's."""
    names = [source.path.name if source.path else source.dataset for source in request.sources] or [
        "the shipped sample"
    ]
    paper, split = request.spec.paper_dataset, request.split or _TEST
    crime = f" {INVERSE_CRIME}" if all(in_name(each.name) for each in request.spec.operators) else ""
    if not paper:
        return f"{request.spec.title}{crime}: {', '.join(names)}"
    if request.sources and all(source.dataset == paper for source in request.sources):
        return f"{request.spec.title}{crime}: {find_entry(paper).title}, split {split}"
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


def _usable_methods(request: Request, cases: Sequence[Case], names: Names) -> tuple[list[_Use], list[Absent]]:
    """Rows with the methods whose weights for them are there and fair; the others with the reason."""
    usable, absent = [], []
    for method in _asked(request):
        for operator in request.spec.operators:
            try:
                check_leak(seen_weights(request.spec.modality, method, operator), cases)
                usable.append((operator, method))
            except InputError as error:
                reason = " ".join(str(error).split())
                for case in cases:
                    reason = names.without(reason, case)
                absent += [Absent(names.case(case), operator.name, method.column, reason) for case in cases]
    return usable, absent


def check_leak(weights: Sequence[Path], cases: Sequence[Case], option: str = "`weights`") -> None:
    """Refuse weights that were trained, or calibrated, on what they are to be tested on.

    Raises:
        InputError: a case or a subject of the table is in the weights' card, by its name or its content, among what
            these weights or the networks before them have seen; or the card cannot be read.
    """
    for path in dict.fromkeys(weights):
        with input_errors(option):
            seen = seen_in(read_card(path).extra)
        for case in cases:
            if any(each.knows(case.subject, case.id, content_sha256(case)) for each in seen):
                raise InputError(
                    f"{path}: trained or calibrated on {case.subject}, which is among the cases of this table"
                )


def _keys(request: Request, cases: Sequence[Case], usable: Sequence[_Use]) -> dict[tuple[str, str, str], str]:
    """The key of every cell, by case, operator and column."""
    modality = request.spec.modality
    return {
        (case.id, operator.name, method.column): cell_key(case, modality, operator, method)
        for case in cases
        for operator, method in usable
    }


def _missing(
    request: Request,
    cases: Sequence[Case],
    usable: Sequence[_Use],
    keys: dict[tuple[str, str, str], str],
    names: Names,
) -> list[Job]:
    """One job for each cell that is not in the store."""
    jobs, store, modality = [], Store(request.store), request.spec.modality
    # A data-consistency step right after its method, whose answer the process still has.
    ordered = sorted(usable, key=lambda use: (use[1].method.removesuffix(DATA_STEP), use[1].method))
    for case in cases:
        for operator in request.spec.operators:
            for method in (method for row, method in ordered if row is operator):
                key = keys[case.id, operator.name, method.column]
                if store.cell(key) is None:
                    jobs.append(Job(case, modality, operator, method, key, request.store, request.device, names))
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


def _budgets(request: Request, usable: Sequence[_Use]) -> list[Budget]:
    """What the networks were trained with, from their cards; a method may have others for other rows."""
    budgets, told = [], set()
    for operator, method in usable:
        path = method_weights(request.spec.modality, method, operator)
        if path is None or method.method.endswith(DATA_STEP) or (method.column, path) in told:
            continue
        told.add((method.column, path))
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
            "not made for": _others(path, _rows_of(request, usable, method, path)),
        }
        budgets.append(Budget(method.column, facts))
    return budgets


def _rows_of(request: Request, usable: Sequence[_Use], method: MethodSpec, path: Path) -> list[OperatorSpec]:
    """The rows in which a method uses a weights file."""
    modality = request.spec.modality
    return [row for row, each in usable if each is method and method_weights(modality, method, row) == path]


def _others(path: Path, operators: Sequence[OperatorSpec]) -> str:
    """The rows of the table whose scans a network was not made for, each with the reason; empty if there is none."""
    reasons = {operator.name: why_unsuitable(path, operator) for operator in operators}
    return "; ".join(f"{name} ({reason})" for name, reason in reasons.items() if reason)


def _minutes(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds / 60)
