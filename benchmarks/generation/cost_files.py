"""What generators cost as text, LaTeX and a page."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.generation.competitors import in_words
from benchmarks.generation.cost import CostResult, CostRow
from benchmarks.generation.figures import NOTHING, Block, duration_text, in_order, seconds_text
from benchmarks.generation.files import write_texts
from benchmarks.generation.full_size import EDGE, FullSize
from benchmarks.generation.latex import tabulars
from benchmarks.generation.page import Content, page
from benchmarks.generation.text import block_lines, ending

NOTES = (
    "Operations are those of convolutions and matrix products, two for each product that is added to a sum.",
    "Memory is that of the whole process on a CPU, with weights and libraries, and what torch held on a GPU.",
    "Training time is the sum over the networks of a method, as their weights files state it.",
)


def write_cost(result: CostResult, folder: Path) -> list[Path]:
    """Write JSON, text, LaTeX and the page; returns the files."""
    return write_texts(
        {
            "results.json": lambda: json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n",
            "table.txt": lambda: cost_text(result) + "\n",
            "table.tex": lambda: tabulars(
                result.title, _sentences(result), cost_blocks(result), result.absent, result.paper
            ),
            "index.html": lambda: page(_content(result)),
        },
        folder,
    )


def cost_text(result: CostResult) -> str:
    """For the terminal."""
    lines = [result.title, *_sentences(result)]
    for block in cost_blocks(result):
        lines += ["", *block_lines(block)]
    return "\n".join([*lines, "", *ending(result.absent, NOTES, result.paper)]).rstrip()


def _content(result: CostResult) -> Content:
    return Content(
        result.table, result.title, _sentences(result), cost_blocks(result), result.absent, NOTES, result.paper
    )


def _sentences(result: CostResult) -> list[str]:
    return [f"{result.anatomy}: volumes of {in_words(result.size)} voxels (X × Y × Z)."] if result.size else []


def cost_blocks(result: CostResult) -> list[Block]:
    """The trained generators, then the published sizes."""
    rows = [(row.method, row.label, _row(row)) for row in result.rows]
    ordered = in_order(
        result.methods, [*rows, *((label, label, ()) for label, _ in result.absent if label in result.methods)]
    )
    headings = ("training", "threads", "steps", "s a volume", "GB", "operations", "parameters", "sampler", "device")
    own = [Block("The given generators, measured here", headings, ordered)] if result.rows else []
    if not result.full:
        return own
    full = tuple((each.method, _full(each)) for each in result.full)
    columns = ("operations of a volume", "calls and operations of each", "parameters")
    return [*own, Block(f"Published sizes, counted for {EDGE} × {EDGE} × {EDGE} voxels", columns, full)]


def _row(row: CostRow) -> tuple[str, ...]:
    learned, made = row.trained, row.sampled
    sampler = "one pass" if made.sampler == "none" else f"{made.sampler}, {made.steps}"
    return (
        duration_text(learned.seconds),
        str(learned.threads or NOTHING),
        " + ".join(map(str, learned.steps.values())) or NOTHING,
        seconds_text(made.seconds),
        f"{made.peak_mb / 1000:.2f}",
        flops_text(row.flops),
        count_text(learned.parameters) if learned.parameters else NOTHING,
        sampler,
        made.device,
    )


def _full(each: FullSize) -> tuple[str, ...]:
    uses = " + ".join(f"{use.calls} × {flops_text(use.flops_of_a_call)}" for use in each.uses)
    return flops_text(each.flops), uses, count_text(each.parameters)


def flops_text(flops: float) -> str:
    """Operations in GFLOP, TFLOP or PFLOP."""
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops / 1e6:.3g} MFLOP"


def count_text(count: int) -> str:
    """A number of parameters in millions."""
    return f"{count / 1e6:.1f} M"
