"""A table's figures, laid out once for all forms: rows of operator and metric, columns of methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.table.results import TableResult, methods_with_results
from benchmarks.table.statistics import Summary, summary
from recon.metrics import METRICS, Metric

COLUMNS = {key: metric for key, metric in METRICS.items() if metric.in_tables}
"""The metrics that tables have a column of."""

COVERAGE = "coverage_90"
"""Share of the patient's voxels whose ground truth lies in the 90 % interval of a result with a standard deviation."""

CONVENTIONS = {
    "primary": "whole volume; CT in [-1000, 1000] HU, MR at the reference's maximum",
    "paper": "as the paper seems to score: min-max per volume, range 2"
    " (CT: against the full-view filtered backprojection)",
}


@dataclass(frozen=True)
class Entry:
    """One figure: its summary, as text, and whether it is the best of its row."""

    summary: Summary
    text: str
    best: bool


@dataclass(frozen=True)
class GridRow:
    """One metric of one operator: a heading and an entry for each method."""

    heading: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Grid:
    """A block of a table under one convention."""

    convention: str
    methods: tuple[tuple[str, str], ...]
    rows: tuple[GridRow, ...]


def grids(result: TableResult) -> list[Grid]:
    """One block for each convention; where there are several operators, a pooled row follows them.

    Rows that are an inverse crime come last and are pooled by themselves.
    """
    methods = tuple(methods_with_results(result))
    parts = result.by_simulation()
    return [
        Grid(name, methods, tuple(row for part in parts for row in _rows(part, methods, name)))
        for name in CONVENTIONS
        if methods
    ]


def _rows(result: TableResult, methods: Sequence[tuple[str, str]], convention: str) -> list[GridRow]:
    rows = []
    for heading, operator, group in _parts(result):
        for key, metric in COLUMNS.items():
            values = [_values(result, method, key, convention, operator, group) for method, _ in methods]
            if any(values):  # the paper's convention lacks some metrics
                label = f"{heading}, {metric.heading}" if heading else metric.heading
                rows.append(GridRow(label, _entries(values, metric)))
    return rows


def _parts(result: TableResult) -> list[tuple[str, str | None, str | None]]:
    """Heading, operator and group of every part; None is all."""
    groups = sorted({cell.group for cell in result.cells} - {""})
    parts: list[tuple[str, str | None, str | None]] = []
    for operator in result.operators:
        parts.append((_with_acceleration(result, operator), operator, None))
        parts += [(f"{operator}, {group}", operator, group) for group in groups if len(groups) > 1]
    if len(result.operators) > 1:
        parts.append((f"pooled {result.crime}".strip(), None, None))
    return parts


def _with_acceleration(result: TableResult, operator: str) -> str:
    found = [c.true_acceleration for c in result.cells if c.operator == operator and c.true_acceleration]
    if not found:
        return operator
    low, high = f"{min(found):.2f}", f"{max(found):.2f}"
    return f"{operator} (true {low})" if low == high else f"{operator} (true {low} to {high})"


def _values(
    result: TableResult, method: str, metric: str, convention: str, operator: str | None, group: str | None
) -> list[float]:
    return [
        value
        for cell in result.cells
        if cell.method == method and operator in (None, cell.operator) and group in (None, cell.group)
        if (value := cell.metrics[convention].get(metric)) is not None and math.isfinite(value)
    ]


def _entries(values: Sequence[list[float]], metric: Metric) -> tuple[Entry, ...]:
    summaries = [summary(each) for each in values]
    most = max((each.count for each in summaries), default=0)
    # a method that lacks cases is not compared with those that have them all
    complete = [each.mean for each in summaries if each.count == most and most]
    best = metric.text(best_of(metric, complete)) if complete and metric.better else None
    return tuple(
        Entry(each, each.text(metric.decimals), each.count == most > 0 and metric.text(each.mean) == best)
        for each in summaries
    )


def best_of(metric: Metric, values: Sequence[float]) -> float:
    """The best of some figures, in the metric's own direction."""
    return min(values) if metric.better == "lower" else max(values)


def coverages(result: TableResult) -> list[tuple[str, list[tuple[str, str]]]]:
    """Of each method with a standard deviation, by row, the percentage of voxels that its 90 % intervals contain."""
    found = []
    for method, label in methods_with_results(result):
        rows = [(name, _values(result, method, COVERAGE, "primary", name, None)) for name in result.operators]
        told = [(name, f"{100 * sum(values) / len(values):.1f}") for name, values in rows if values]
        found += [(label, told)] if told else []
    return found


def reasons(result: TableResult) -> list[tuple[str, str]]:
    """Methods without a result and why, each reason once."""
    labels = dict(result.methods)
    found: dict[tuple[str, str], None] = {}
    for each in result.absent:
        found[labels.get(each.method, each.method), each.reason] = None
    return list(found)
