"""A hook of the documentation: runs the notebooks, and makes a page of each with what it printed and showed.

A notebook is a Python file with cells, as jupytext and editors know them: ``# %%`` begins code, ``# %% [markdown]``
begins text in comments. It runs as a script too. The tests run the notebooks with the same functions.

Where the variable ``NOTEBOOK_PAGES`` names a folder, pages are kept there and taken from there: so `.ci/run` runs each
notebook once, for the tests and for the pages.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import html
import io
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"

KEPT = "NOTEBOOK_PAGES"
"""The environment variable with the folder where pages are kept."""

_MARK = re.compile(r"^# %%(?P<text> \[markdown\])?.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook: text in Markdown, or code."""

    is_text: bool
    source: str


@dataclass(frozen=True)
class Output:
    """What a cell of code printed, and what its last expression shows as HTML."""

    printed: str = ""
    shown: str = ""


def cells(text: str) -> list[Cell]:
    """The cells of a notebook."""
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [
        Cell(bool(mark["text"]), _source(text[mark.end() : end], bool(mark["text"])))
        for mark, end in zip(marks, ends, strict=True)
    ]


def _source(text: str, is_text: bool) -> str:
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE).strip() if is_text else text.strip()


def run(name: str) -> tuple[list[tuple[Cell, Output]], dict[str, Any]]:
    """Run a notebook in a folder of its own; every cell with its output, and the names that it left."""
    path, started = NOTEBOOKS / f"{name}.py", time.perf_counter()
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        found = [(cell, _run(cell, names, path.name)) for cell in cells(path.read_text(encoding="utf-8"))]
    if kept := _kept(name):
        kept.write_text(_page(name, found, time.perf_counter() - started), encoding="utf-8")
    return found, names


def _kept(name: str) -> Path | None:
    """Where the page of a notebook is kept; None where none is."""
    return Path(os.environ[KEPT], f"{name}.md") if os.environ.get(KEPT) else None


def _run(cell: Cell, names: dict[str, Any], name: str) -> Output:
    if cell.is_text:
        return Output()
    tree = ast.parse(cell.source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), names)
        value = eval(compile(ast.Expression(last.value), name, "eval"), names) if isinstance(last, ast.Expr) else None
    return Output(printed.getvalue(), "" if value is None else _as_html(value))


def _as_html(value: Any) -> str:
    if hasattr(value, "_repr_html_") and (found := value._repr_html_()):
        return str(found)
    if hasattr(value, "savefig"):  # a figure of matplotlib
        stream = io.BytesIO()
        value.savefig(stream, format="png", dpi=100, bbox_inches="tight")
        return f'<img alt="the figure" src="data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}">'
    return f"<pre>{html.escape(repr(value))}</pre>"


def page(name: str) -> str:
    """The page of a notebook: the kept one, or that of a run just now."""
    kept = _kept(name)
    if kept and kept.is_file():
        return kept.read_text(encoding="utf-8")
    started = time.perf_counter()
    found, _ = run(name)
    return _page(name, found, time.perf_counter() - started)


def _page(name: str, found: list[tuple[Cell, Output]], seconds: float) -> str:
    parts = [part for cell, output in found for part in _written(cell, output)]
    foot = f"*[{name}.py](../notebooks-source/{name}.py) ran in {seconds:.0f} s when this page was built.*"
    return "\n\n".join([*parts, foot]) + "\n"


def _written(cell: Cell, output: Output) -> Iterator[str]:
    if cell.is_text:
        yield cell.source
        return
    yield f"```python\n{cell.source}\n```"
    if output.printed:
        yield f"``` {{.text .printed}}\n{output.printed.rstrip()}\n```"  # tables, whose lines are not to be broken
    if output.shown:
        yield f'<div class="shown">{_on_one_line(output.shown)}</div>'


def _on_one_line(text: str) -> str:
    """HTML that Markdown leaves alone: blank lines would end it."""
    return re.sub(r"\n\s*\n", "\n", text)


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """mkdocs calls this once, with all files of the site."""
    from mkdocs.structure.files import File

    for path in sorted(NOTEBOOKS.glob("*.py")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page(path.stem)))
        source = path.read_text(encoding="utf-8")
        files.append(File.generated(config, f"notebooks-source/{path.name}", content=source))
    return files
