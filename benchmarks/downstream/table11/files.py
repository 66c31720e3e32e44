"""Every form of Table XI, written into the folder of its name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from benchmarks.downstream.table11.figures import blocks, facts
from benchmarks.downstream.table11.result import TABLE, TITLE, Table11Result
from benchmarks.downstream.table11.rows import CLASSES
from benchmarks.downstream.table11.run import Finished
from benchmarks.generation.contact import planes, scale_for
from benchmarks.generation.files import write_texts
from benchmarks.generation.latex import tabulars
from benchmarks.generation.page import Content, Sheet, Shown, page
from benchmarks.generation.text import block_lines, ending
from benchmarks.generation.volumes import VolumeSet
from priors.diffusion.prior import VoxelSize
from recon.pictures import figures
from recon.training.sources import TrainingVolume

_SHOWN = 8
"""Volumes of each class on the page, at most."""


def text(result: Table11Result) -> str:
    """The table for a terminal, with the paper's own figures apart."""
    lines = [TITLE, *facts(result)]
    for block in blocks(result):
        lines += ["", *block_lines(block)]
    return "\n".join([*lines, "", *ending(result.absent, result.notes, result.paper)]).rstrip()


def write_all(finished: Finished, folder: Path) -> list[Path]:
    """Write JSON, text, LaTeX and the page; returns the files, each of which appears whole or not at all."""
    result = finished.result
    return write_texts(
        {
            "results.json": lambda: json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n",
            "table.txt": lambda: text(result) + "\n",
            "table.tex": lambda: tabulars(TITLE, facts(result), blocks(result), result.absent, result.paper),
            "index.html": lambda: page(_content(finished)),
        },
        folder,
    )


def _content(finished: Finished) -> Content:
    result = finished.result
    sheets = [*_real_sheets(finished.real), *_synthetic_sheets(finished.synthetic, finished.spacing)]
    return Content(TABLE, TITLE, facts(result), blocks(result), result.absent, result.notes, result.paper, sheets)


def _real_sheets(volumes: Sequence[TrainingVolume]) -> list[Sheet]:
    """The first volumes of each class in the training split, without their names."""
    sheets = []
    for index, name in enumerate(CLASSES):
        own = [each.volume for each in volumes if each.class_index == index][:_SHOWN]
        shown = (_picture(f"volume {place + 1}", each.network(), each.spacing) for place, each in enumerate(own))
        sheets.append(Sheet(f"real, {name}", tuple(shown)))
    return sheets


def _synthetic_sheets(sets: Sequence[VolumeSet], spacing: VoxelSize | None) -> list[Sheet]:
    if spacing is None:
        return []
    return [
        Sheet(
            each.label,
            tuple(_picture(name, each.read(place), spacing) for place, name in enumerate(each.names[:_SHOWN])),
        )
        for each in sets
    ]


def _picture(name: str, image: Tensor, spacing: VoxelSize) -> Shown:
    z, x, y = image.shape
    return Shown(name, figures.png(planes(image, scale_for((z, x, y), spacing, 4 * _SHOWN))))
