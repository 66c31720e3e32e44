"""A table of real scans for a terminal of 80 columns."""

from __future__ import annotations

from benchmarks.measured.results import MeasuredCell, MeasuredResult, RowResult
from benchmarks.measured.scores import FIGURES, Figure, Scores
from benchmarks.measured.spec import ScoreKind
from recon.metrics import METRICS

WIDTH = 80
_METHOD, _FIGURE = 20, 8


def table(result: MeasuredResult) -> str:
    """One block for each scan, methods downwards; a flag where a method is worse than the direct one."""
    blocks = [[result.title], *(["", *_block(row)] for row in result.rows)]
    if result.left_out:
        blocks.append(["", *(_shortened(f"left out: {name}: {reason}") for name, reason in result.left_out)])
    return "\n".join(line for block in blocks for line in block)


def _block(row: RowResult) -> list[str]:
    figure = FIGURES[row.score]
    lines = [_shortened(row.name), f"  {figure.title}; {'higher' if figure.higher else 'lower'} is better"]
    headings = ["", *(heading for name, heading in figure.others if name in row.direct_scores)]
    lines += _headings(headings) if len(headings) > 1 else []
    return lines + [_line(row, cell, figure) for cell in row.cells]


def _headings(headings: list[str]) -> list[str]:
    """The headings of the further figures, in two lines: they are wider than a figure."""
    words = [[*heading.split(" ", 1), ""] for heading in headings]
    return [
        ("  " + " " * _METHOD + "".join(f"{each[place]:>{_FIGURE}}" for each in words)).rstrip()
        for place in range(2)
        if any(each[place] for each in words)
    ]


def _line(row: RowResult, cell: MeasuredCell, figure: Figure) -> str:
    start = f"  {label(cell):<{_METHOD}}"
    if cell.refused:
        return _shortened(f"{start}  refused: {cell.refused}")
    names = [figure.key, *(name for name, _ in figure.others if name in row.direct_scores)]
    figures = "".join(f"{figure_text(row.score, cell.scores, name):>{_FIGURE}}" for name in names)
    flag = f"  worse than {row.direct}" if row.worse[cell.method] else ""
    return f"{start}{figures}{_seconds(cell.seconds):>7}{flag}"


def label(cell: MeasuredCell) -> str:
    """The name of a column, and of the method that it chose."""
    return cell.method if cell.taken == cell.method else f"{cell.method} ({cell.taken})"


def figure_text(kind: ScoreKind, scores: Scores, name: str) -> str:
    """A figure with as many decimals as its kind has."""
    value = scores.get(name)
    digits = METRICS[name].decimals if name in METRICS else FIGURES[kind].digits
    return "–" if value is None else f"{value:.{digits}f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _shortened(text: str) -> str:
    """A line that fits; the whole of it is in ``results.json`` and on the page."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
