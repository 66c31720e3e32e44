"""Every form of a table, written beside its results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.render import documents
from benchmarks.render.page import page
from benchmarks.table.results import Store, TableResult
from datasets.whole_file import whole_file


def write_all(result: TableResult, folder: Path) -> list[Path]:
    """Write the page, Markdown, LaTeX, CSV and JSON by case, each in one step; returns the files."""
    forms = {
        ".html": lambda: page(result, Store(folder)),
        ".md": lambda: documents.markdown(result),
        ".tex": lambda: documents.latex(result),
        ".csv": lambda: documents.comma_separated(result),
        "-cases.json": lambda: documents.by_case(result),
    }
    written = []
    for suffix, form in forms.items():
        path = folder / f"{result.table}{suffix}"
        with whole_file(path) as temporary:
            temporary.write_text(form(), encoding="utf-8")
        written.append(path)
    return written
