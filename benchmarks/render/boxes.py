"""Box plots of a metric over cases, one box for each method, as numbers that a drawing needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.render.grid import COLUMNS
from benchmarks.table.results import TableResult, methods_with_results

_LEAST_FOR_BOX = 5
"""With fewer cases the points say all that there is."""


@dataclass(frozen=True)
class Box:
    """One method: values as shares of the axis, 0 at its lower end; quartiles None of few cases."""

    label: str
    points: tuple[float, ...]
    quartiles: tuple[float, float, float] | None


@dataclass(frozen=True)
class BoxPlot:
    """A metric of all methods: ticks as (share, text), boxes in the table's order."""

    heading: str
    ticks: tuple[tuple[float, str], ...]
    boxes: tuple[Box, ...]


def box_plots(result: TableResult) -> list[BoxPlot]:
    """Every metric of the tables in the primary convention, all operators together, an inverse crime by itself."""
    return [plot for part in result.by_simulation() for metric in COLUMNS if (plot := _plot(part, metric)) is not None]


def _plot(result: TableResult, metric: str) -> BoxPlot | None:
    columns = [(label, result.values(method, metric)) for method, label in methods_with_results(result)]
    every = np.array([value for _, values in columns for value in values])
    if not every.size:
        return None
    margin = max(float(np.ptp(every)) * 0.05, 1e-3)
    low, high = float(every.min()) - margin, float(every.max()) + margin

    def share(value: float) -> float:
        return (value - low) / (high - low)

    boxes = []
    for label, values in columns:
        quartiles = None
        if len(values) >= _LEAST_FOR_BOX:
            first, middle, third = (share(float(value)) for value in np.percentile(values, [25, 50, 75]))
            quartiles = (first, middle, third)
        boxes.append(Box(label, tuple(share(value) for value in values), quartiles))
    digits = COLUMNS[metric].decimals - 1
    ticks = tuple((share(value), f"{value:.{digits}f}") for value in np.linspace(low + margin, high - margin, 5))
    return BoxPlot(f"{COLUMNS[metric].heading} {result.crime}".strip(), ticks, tuple(boxes))
