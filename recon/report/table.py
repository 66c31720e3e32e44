"""The metrics table: figures, the best of each column, differences to the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from recon.metrics import METRICS

Metrics = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Cell:
    """A figure of the table as text; ``difference`` is empty in the baseline's row and where a figure is missing."""

    text: str
    difference: str
    best: bool


@dataclass(frozen=True)
class Table:
    """Column headings, and a list of cells for each row label."""

    headings: list[str]
    rows: dict[str, list[Cell]]

    @property
    def baseline(self) -> str:
        """Label of the row that differences refer to."""
        return next(iter(self.rows))

    @property
    def has_best(self) -> bool:
        """Whether any figure is emphasised."""
        return any(cell.best for row in self.rows.values() for cell in row)


def metrics_table(metrics: Metrics, drop_unknown: bool) -> Table:
    """The table of row label -> metric -> value, whose first row is the baseline.

    Args:
        metrics: the figures; None or NaN is shown as a dash.
        drop_unknown: leave out columns without any figure (those that need a ground truth, where there is none).
    """
    names = list(dict.fromkeys(name for row in metrics.values() for name in row))
    names.sort(key=lambda name: not name.endswith("soft_tissue"))  # what a radiologist looks at, first
    columns = {name: [_known(row.get(name)) for row in metrics.values()] for name in names}
    if drop_unknown:
        columns = {name: values for name, values in columns.items() if any(v is not None for v in values)}
    cells = [_column(name, values) for name, values in columns.items()]
    rows = {label: [column[i] for column in cells] for i, label in enumerate(metrics)}
    return Table([heading(name) for name in columns], rows)


def heading(name: str) -> str:
    """A metric's key as a heading: ``psnr_soft_tissue`` becomes ``PSNR soft tissue (dB)``; other text stays."""
    words = name.replace("_", " ") if name == name.lower() else name
    text = METRICS[name].heading if name in METRICS else words
    return text[:1].upper() + text[1:]


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _column(name: str, values: list[float | None]) -> list[Cell]:
    best = _best(name, [value for value in values if value is not None])
    baseline = values[0]
    return [
        Cell(
            text="—" if value is None else _figure(name, value),
            difference=_difference(name, value, baseline) if i else "",
            best=value is not None and value == best,
        )
        for i, value in enumerate(values)
    ]


def _best(name: str, known: list[float]) -> float | None:
    """The best of at least two different figures of a metric that has a better direction."""
    better = METRICS[name].better if name in METRICS else None
    if len(set(known)) < 2 or better is None:
        return None
    return min(known) if better == "lower" else max(known)


def _figure(name: str, value: float, sign: str = "") -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = METRICS[name].text(value, sign) if name in METRICS else f"{value:{sign}.3g}"
    return text.replace("-", "−")


def _difference(name: str, value: float | None, baseline: float | None) -> str:
    if value is None or baseline is None or not math.isfinite(value - baseline):
        return ""
    return _figure(name, value - baseline, sign="+")
