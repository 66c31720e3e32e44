"""For the terminal."""

from __future__ import annotations

from benchmarks.render.grid import COLUMNS, CONVENTIONS, Grid, coverages, grids, reasons
from benchmarks.table.published import published
from benchmarks.table.results import TableResult
from benchmarks.table.statistics import compare


def table(result: TableResult) -> str:
    """The whole table: both conventions, the paper's own figures apart, budgets, what is absent."""
    lines = [result.title, ""]
    for grid in grids(result):
        lines += [f"{_count(result)}; {CONVENTIONS[grid.convention]}:", *_block(grid), ""]
    lines += _coverages(result)
    lines += _times(result)
    lines += _paper(result.table)
    lines += _budgets(result)
    lines += [f"absent: {label}: {reason}" for label, reason in reasons(result)]
    return "\n".join(lines).rstrip()


def _count(result: TableResult) -> str:
    cases = len({cell.case for cell in result.cells})
    return f"{cases} case{'s' if cases != 1 else ''}, mean (standard deviation)"


def _block(grid: Grid) -> list[str]:
    headings = [row.heading for row in grid.rows]
    first = max(map(len, [*headings, "method"]))
    columns = [
        [label, *(entry.text + ("*" if entry.best else "") for entry in entries)]
        for (_, label), entries in zip(grid.methods, zip(*(row.entries for row in grid.rows), strict=True), strict=True)
    ]
    # methods downwards: there are more of them than a terminal is wide
    widths = [
        max(len(heading), *(len(column[1 + place]) for column in columns)) for place, heading in enumerate(headings)
    ]
    first = max(len(column[0]) for column in columns)
    lines = [
        "  " + " " * first + "".join(f"  {heading:>{width}}" for heading, width in zip(headings, widths, strict=True))
    ]
    for column in columns:
        cells = "".join(f"  {text:>{width}}" for text, width in zip(column[1:], widths, strict=True))
        lines.append(f"  {column[0]:<{first}}{cells}")
    return [*lines, "  * best of those with all cases"]


def _coverages(result: TableResult) -> list[str]:
    return [
        f"90 % intervals of {label} contain: " + "; ".join(f"{row} {percent} %" for row, percent in told)
        for label, told in coverages(result)
    ]


def _times(result: TableResult) -> list[str]:
    rows = []
    for method, label in result.methods:
        cells = [cell for cell in result.cells if cell.method == method]
        if cells:
            seconds = sum(cell.seconds for cell in cells) / len(cells)
            rows.append(f"{label} {seconds:.1f} s, {max(cell.peak_rss_mb for cell in cells) / 1000:.1f} GB")
    return ["per case: " + "; ".join(rows), ""] if rows else []


def _paper(table: str) -> list[str]:
    paper = published(table)
    if not paper:
        return []
    lines = [f"the paper's own figures ({paper['title']}), on its data; {paper['beside']}:"]
    for row in paper["rows"]:
        lines.append(f"  {row['method']:<16}  PSNR {row['psnr']:>13}  SSIM {row['ssim']:>14}")
    return [*lines, ""]


def _budgets(result: TableResult) -> list[str]:
    labels, lines = dict(result.methods), []
    for budget in result.budgets:
        facts = ", ".join(f"{name} {value}" for name, value in budget.facts.items() if value not in (None, ""))
        lines.append(f"trained: {labels.get(budget.method, budget.method)}: {facts}")
    return lines


def comparison(result: TableResult, one: str, other: str) -> str:
    """Paired differences of two methods: mean, bootstrap 95 % interval, Wilcoxon's signed-rank test.

    Raises:
        ValueError: a method without results in the table.
    """
    present = {cell.method for cell in result.cells}
    for name in (one, other):
        if name not in present:
            raise ValueError(f"{name}: no result in {result.table}; there are {', '.join(sorted(present))}")
    lines = [f"{one} less {other}; {result.title}"]
    for part in result.by_simulation():
        lines += [f"  {part.crime}"] if part.crime else []
        lines += _differences(part, one, other)
    return "\n".join(lines)


def _differences(result: TableResult, one: str, other: str) -> list[str]:
    lines = []
    for convention in CONVENTIONS:
        for key, metric in COLUMNS.items():
            pairs = result.paired(one, other, key, convention)
            if pairs or convention == "primary":
                lines.append(f"  {convention:<8} {metric.heading:<10} {compare(pairs).text(metric.decimals)}")
    return lines
