"""A table of real scans as a page: one HTML file that needs no network and runs no script."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measured.results import CellStore, MeasuredCell, MeasuredResult, RowResult
from benchmarks.measured.scores import FIGURES
from benchmarks.measured.text import figure_text, label
from datasets.whole_file import whole_file
from recon import report
from recon.pictures import figures
from recon.pictures.lettering import Frame, framed
from recon.pictures.planes import PLANES, axial_picture

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """A result's middle slice as a PNG data URI, under its method and its score."""

    label: str
    caption: str
    image: str


@dataclass(frozen=True)
class Line:
    """One row of a block: the method, its figures and seconds, and what is to be said of it."""

    label: str
    figures: tuple[str, ...]
    remark: str
    worse: bool


@dataclass(frozen=True)
class Block:
    """One scan on the page: its table and its pictures, the first of which is what results are compared with."""

    name: str
    file: str
    title: str
    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    pictures: tuple[Picture, ...]
    sides_known: bool


def write_all(result: MeasuredResult, cells: CellStore, folder: Path) -> list[Path]:
    """Write ``results.json`` and the page, each in one step; returns the files."""
    forms = {"results.json": json.dumps(result.to_dict(), indent=1) + "\n", "index.html": page(result, cells)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in forms.items():
        with whole_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [folder / name for name in forms]


def page(result: MeasuredResult, cells: CellStore) -> str:
    """The whole page; all text is escaped, and the content security policy forbids every request and every script."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Path(report.__file__).with_name("style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        result=result, blocks=[_block(row, cells) for row in result.rows], style=style
    )


def _block(row: RowResult, cells: CellStore) -> Block:
    figure = FIGURES[row.score]
    shown = [(figure.key, figure.title), *(each for each in figure.others if each[0] in row.direct_scores)]
    return Block(
        row.name,
        row.file,
        f"{figure.title}; {'higher' if figure.higher else 'lower'} is better",
        tuple(heading for _, heading in shown),
        tuple(_line(row, cell, [name for name, _ in shown]) for cell in row.cells),
        tuple(_pictures(row, cells)),
        any(cell.sides_known for cell in row.cells),
    )


def _line(row: RowResult, cell: MeasuredCell, names: list[str]) -> Line:
    worse = bool(row.worse[cell.method])
    flag = f"worse than {row.direct}" if worse else ""
    texts = (
        () if cell.refused else (*(figure_text(row.score, cell.scores, name) for name in names), f"{cell.seconds:.1f}")
    )
    return Line(label(cell), texts, cell.refused or flag, worse)


def _pictures(row: RowResult, cells: CellStore) -> list[Picture]:
    """Middle slices in one window of grey values; a segmentation, which has no such values, in its own."""
    stored = [(cell, found) for cell in row.cells if (found := cells.pictures(cell.key))]
    if not stored:
        return []
    first, images = stored[0]
    frame = Frame(first.sides_known, first.pixel)
    window = figures.finite_range(images["image"], 1, 99.5)
    pictures = []
    if "reference" in images:
        own = (0.0, 1.0) if row.score == "segmentation" else window
        pictures.append(Picture("reference", "", _png(images["reference"], own, frame)))
    key = FIGURES[row.score].key
    return pictures + [
        Picture(label(cell), figure_text(row.score, cell.scores, key), _png(found["image"], window, frame))
        for cell, found in stored
    ]


def _png(image: np.ndarray, window: tuple[float, float], frame: Frame) -> str:
    return figures.png(framed(figures.to_bytes(axial_picture(image), *window), PLANES[0].letters, frame))
