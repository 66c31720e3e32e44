"""An ablation's table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.ablations.ablation import Line
from benchmarks.ablations.spec import AblationSpec
from benchmarks.table.published import published


def as_text(spec: AblationSpec, name: str, lines: Sequence[Line]) -> str:
    """The table for the terminal, the paper's own figures apart."""
    columns = list(dict.fromkeys(figure for line in lines for figure in line.figures))
    width = max(len(line.label) for line in lines)
    rows = [f"{'':{width}}  " + "".join(f"{column:>20}" for column in columns) + f"{'steps':>8}"]
    for line in lines:
        if line.absent:
            rows.append(f"{line.label:{width}}  absent: {line.absent}")
            continue
        cells = "".join(f"{_figure(line.figures.get(column)):>20}" for column in columns)
        rows.append(f"{line.label:{width}}  {cells}{line.steps:>8}")
    paper = published(name)
    if paper:
        rows += ["", f"the paper's own figures ({paper['title']}), on its data:"]
        rows += ["  " + ", ".join(f"{key} {value}" for key, value in row.items()) for row in paper["rows"]]
    return "\n".join([spec.title, "", *rows])


def _figure(value: tuple[float, float] | None) -> str:
    if value is None:
        return "-"
    mean, spread = value
    return f"{mean:.4f} ({spread:.4f})" if spread else f"{mean:.4f}"
