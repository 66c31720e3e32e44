"""What every documented field and argument must be: a noun phrase that an international reader parses at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("physics", "priors", "datasets", "recon", "benchmarks")

SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
ENTRY = re.compile(r"^    (\*{0,2}\w[\w, ]*): (.*)")
BARE = re.compile(
    r"(of|by|for|from|in|into|on|to|with|without|at|after|before|under|over|as|that|which|where|likewise|see)\b"
)
"""How an entry begins that only makes sense after the name before it is read again."""


def entries(docstring: str) -> Iterator[tuple[str, str]]:
    """Name and first line of each entry under ``Args`` and ``Attributes``."""
    section = ""
    for line in docstring.split("\n"):
        if SECTION.match(line):
            section = line[:-1]
        elif line and not line.startswith(" "):
            section = ""
        elif section in ("Args", "Attributes") and (found := ENTRY.match(line)):
            yield found[1], found[2]


def docstrings(file: Path) -> Iterator[str]:
    """Docstrings of the module, its classes and its functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("package", PACKAGES)
def test_no_documented_field_begins_with_a_bare_preposition(package: str) -> None:
    bare = [
        f"{file.relative_to(ROOT)}: {name}: {text}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for docstring in docstrings(file)
        for name, text in entries(docstring)
        if BARE.match(text)
    ]
    assert bare == []
