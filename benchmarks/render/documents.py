"""For papers and spreadsheets: Markdown, LaTeX, CSV, and JSON by case."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

from benchmarks.render.grid import CONVENTIONS, Grid, coverages, grids, reasons
from benchmarks.table.published import published
from benchmarks.table.results import TableResult


def markdown(result: TableResult) -> str:
    """Tables of methods and metrics, best in bold."""
    lines = [f"## {_in_markdown(result.title)}", ""]
    for grid in grids(result):
        lines += [f"{CONVENTIONS[grid.convention]}; mean (standard deviation)", ""]
        lines.append("| | " + " | ".join(_in_markdown(row.heading) for row in grid.rows) + " |")
        lines.append("| --- |" + " ---: |" * len(grid.rows))
        for label, entries in _by_method(grid):
            lines.append(
                f"| {_in_markdown(label)} | " + " | ".join(f"**{t}**" if best else t for t, best in entries) + " |"
            )
        lines.append("")
    for label, told in coverages(result):
        of_rows = "; ".join(f"{_in_markdown(row)} {percent} %" for row, percent in told)
        lines += [f"90 % intervals of {_in_markdown(label)} contain: {of_rows}.", ""]
    paper = published(result.table)
    if paper:
        lines += [f"The paper's own figures ({paper['title']}), on its data; {paper['beside']}:", ""]
        lines.append("| | PSNR (dB) | SSIM |")
        lines.append("| --- | ---: | ---: |")
        lines += [f"| {row['method']} | {row['psnr']} | {row['ssim']} |" for row in paper["rows"]]
        lines.append("")
    lines += [f"Absent: {_in_markdown(label)}: {_in_markdown(reason)}" for label, reason in reasons(result)]
    return "\n".join(lines).rstrip() + "\n"


def latex(result: TableResult) -> str:
    """A ``tabular`` for each convention, best in bold."""
    parts = []
    for grid in grids(result):
        lines = [f"% {one_line(result.title)}; {CONVENTIONS[grid.convention]}"]
        lines += [r"\begin{tabular}{l" + "r" * len(grid.rows) + "}", r"\hline"]
        lines.append(" & " + " & ".join(latex_escaped(row.heading) for row in grid.rows) + r" \\ \hline")
        for label, entries in _by_method(grid):
            cells = [rf"\textbf{{{latex_escaped(t)}}}" if best else latex_escaped(t) for t, best in entries]
            lines.append(f"{latex_escaped(label)} & " + " & ".join(cells) + r" \\")
        parts.append("\n".join([*lines, r"\hline", r"\end{tabular}"]))
    return "\n\n".join(parts) + "\n"


def _by_method(grid: Grid) -> list[tuple[str, list[tuple[str, bool]]]]:
    return [
        (label, [(row.entries[place].text, row.entries[place].best) for row in grid.rows])
        for place, (_, label) in enumerate(grid.methods)
    ]


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\to$",
}


def latex_escaped(text: str) -> str:
    """A text that LaTeX prints and does not obey, whoever chose it."""
    return "".join(_LATEX.get(character, character) for character in one_line(text))


def one_line(text: str) -> str:
    """A text without control characters, which could end a comment or a row."""
    return "".join(character if character.isprintable() else " " for character in text)


def _in_markdown(text: str) -> str:
    """A text that ends no cell and opens no tag."""
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _in_spreadsheet(text: str) -> str:
    """A text that a spreadsheet does not take for a formula; an apostrophe before it says so."""
    return f"'{text}" if text[:1] in _FORMULA else text


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def comma_separated(result: TableResult) -> str:
    """One row for each cell, convention and metric."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["case", "subject", "group", "operator", "method", "convention", "metric", "value", "seconds"])
    for cell in sorted(result.cells, key=lambda c: (c.case, c.operator, c.method)):
        for convention, metrics in cell.metrics.items():
            for metric, value in metrics.items():
                names = [cell.case, cell.subject, cell.group, cell.operator, cell.method, convention, metric]
                place = map(_in_spreadsheet, names)
                writer.writerow([*place, "" if value is None else repr(value), f"{cell.seconds:.3f}"])
    return stream.getvalue()


def by_case(result: TableResult) -> str:
    """Everything that is known of every cell, JSON."""
    return json.dumps(asdict(result), indent=1) + "\n"
