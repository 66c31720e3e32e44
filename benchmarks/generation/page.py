"""A table of generators as a page: one HTML file that needs no network, with every volume and a blind view of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generation.figures import Block, blocks, facts
from benchmarks.generation.result import GenerationResult
from benchmarks.generation.scatter import HEIGHT, WIDTH, Group, scatter
from benchmarks.generation.text import PAPER_TITLES, paper_text
from benchmarks.generation.volumes import VolumeSet
from recon import report
from recon.pictures import figures

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Shown:
    """One volume on the page: its name and its planes as a PNG data URI."""

    name: str
    image: str


@dataclass(frozen=True)
class Sheet:
    """All volumes of one set."""

    label: str
    volumes: tuple[Shown, ...]


@dataclass(frozen=True)
class Content:
    """What a page of this room shows.

    Attributes:
        kind: the name of the table.
        title: the title of the table.
        sentences: what all figures are of.
        blocks: the figures.
        absent: the label of each method without a result, and why.
        notes: sentences that belong under the table.
        paper: the paper's own figures; None where there are none.
        sheets: the volumes of each set, the real ones first; none where no volumes are shown.
        groups: the sets of a drawing of features; none where there is no drawing.
        drawing: what the drawing is, in a sentence.
    """

    kind: str
    title: str
    sentences: Sequence[str]
    blocks: Sequence[Block]
    absent: Sequence[tuple[str, str]]
    notes: Sequence[str]
    paper: dict[str, Any] | None
    sheets: Sequence[Sheet] = ()
    groups: Sequence[Group] = ()
    drawing: str = ""


def sheets_of(sets: Sequence[VolumeSet], pictures: Sequence[Sequence[np.ndarray]]) -> list[Sheet]:
    """The sheets of sets whose volumes are drawn already."""
    return [
        Sheet(
            each.label,
            tuple(Shown(name, figures.png(picture)) for name, picture in zip(each.names, found, strict=True)),
        )
        for each, found in zip(sets, pictures, strict=True)
    ]


def content_of(result: GenerationResult, sheets: Sequence[Sheet]) -> Content:
    """What the page of a result shows."""
    drawn = result.embedding
    drawing = (
        f"t-SNE of all features together, seed {drawn.seed}, perplexity {drawn.perplexity:g}. It shows, and does not "
        "measure: distances between groups and their areas mean little; the figures above measure."
        if drawn
        else ""
    )
    return Content(
        result.table,
        result.title,
        facts(result),
        blocks(result),
        result.absent,
        result.notes,
        result.paper,
        sheets,
        scatter(drawn) if drawn else (),
        drawing,
    )


def page(content: Content) -> str:
    """The whole page; all text is escaped, and the policy forbids every request and every script but its own."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "blind.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        content=content,
        paper_titles=PAPER_TITLES,
        paper_text=paper_text,
        drawing_size=(WIDTH, HEIGHT),
        style=Path(report.__file__).with_name("style.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
