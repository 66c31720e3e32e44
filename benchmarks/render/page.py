"""A table as a page: one HTML file that needs no network and runs no script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.render.boxes import box_plots
from benchmarks.render.grid import COLUMNS, CONVENTIONS, coverages, grids, reasons
from benchmarks.render.pictures import montages
from benchmarks.table.published import published
from benchmarks.table.results import Store, TableResult, methods_with_results
from benchmarks.table.statistics import compare
from recon import report
from recon.pictures import figures

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cost:
    """Mean seconds and most memory of a method."""

    label: str
    seconds: float
    memory_gb: float
    device: str


@dataclass(frozen=True)
class Difference:
    """The best method against another, in words, by metric."""

    label: str
    texts: tuple[str, ...]


def page(result: TableResult, store: Store) -> str:
    """The whole page: tables, pictures, distributions, paired differences, costs, budgets, the paper's figures apart.

    All text is escaped, and the content security policy forbids every request and every script.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Path(report.__file__).with_name("style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        result=result,
        cases=len({cell.case for cell in result.cells}),
        grids=grids(result),
        conventions=CONVENTIONS,
        metric_names=[metric.heading for metric in COLUMNS.values()],
        montages=montages(result, store),
        error_legend=figures.legend(figures.ERRORS),
        number=figures.number,
        plots=box_plots(result),
        differences=_all_differences(result),
        costs=_costs(result),
        coverages=coverages(result),
        labels=dict(result.methods),
        paper=published(result.table),
        reasons=reasons(result),
        style=style,
    )


def _costs(result: TableResult) -> list[Cost]:
    costs = []
    for method, label in methods_with_results(result):
        cells = [cell for cell in result.cells if cell.method == method]
        seconds = sum(cell.seconds for cell in cells) / len(cells)
        costs.append(Cost(label, seconds, max(cell.peak_rss_mb for cell in cells) / 1000, cells[0].device))
    return costs


def _all_differences(result: TableResult) -> list[tuple[str, str, list[Difference]]]:
    """The best method, the words for an inverse crime where that is one, and what the method is ahead by."""
    found = [(*_differences(part), part.crime) for part in result.by_simulation()]
    return [(best, crime, rows) for best, rows, crime in found if rows]


def _differences(result: TableResult) -> tuple[str, list[Difference]]:
    """The method with the highest mean PSNR, and what it is ahead of every other by."""
    present = methods_with_results(result)
    means = {m: sum(v) / len(v) for m, _ in present if (v := result.values(m, "psnr"))}
    if len(means) < 2:
        return "", []
    best = max(means, key=lambda method: means[method])
    rows = []
    for method, label in present:
        if method != best:
            texts = [compare(result.paired(best, method, key)).text(metric.decimals) for key, metric in COLUMNS.items()]
            rows.append(Difference(label, tuple(texts)))
    return dict(present)[best], rows
