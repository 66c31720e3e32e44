"""Every form of a table of generators, written into the folder of its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.generation import latex, text
from benchmarks.generation.contact import pictures, scale_for, sheet
from benchmarks.generation.page import content_of, page, sheets_of
from benchmarks.generation.run import Finished
from benchmarks.generation.scatter import svg
from benchmarks.generation.volumes import slug
from datasets.whole_file import whole_file


def write_all(finished: Finished, folder: Path) -> list[Path]:
    """Write JSON, text, LaTeX, the page, a contact sheet of each set and, where there is one, the drawing.

    Returns:
        The files; each appears whole or not at all.
    """
    result, sets = finished.result, finished.sets
    scale = scale_for(result.size, result.spacing, sum(map(len, sets)))
    drawn = [list(pictures(each, scale)) for each in sets]
    forms: dict[str, Callable[[], str]] = {
        "results.json": lambda: json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n",
        "table.txt": lambda: text.table(result) + "\n",
        "table.tex": lambda: latex.latex(result),
        "index.html": lambda: page(content_of(result, sheets_of(sets, drawn))),
    }
    if result.embedding:
        embedding = result.embedding
        forms["features.svg"] = lambda: svg(embedding)
    written = write_texts(forms, folder)
    for each, found in zip(sets, drawn, strict=True):
        path = folder / f"contact-{slug(each.label)}.png"
        write_png(path, sheet(found))
        written.append(path)
    return written


def write_texts(forms: dict[str, Callable[[], str]], folder: Path) -> list[Path]:
    """Write texts by their file names; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, form in forms.items():
        with whole_file(folder / name) as temporary:
            temporary.write_text(form(), encoding="utf-8")
    return [folder / name for name in forms]


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a picture of (h, w) uint8 pixels."""
    with whole_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", optimize=True)
