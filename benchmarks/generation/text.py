"""A table of generators for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.generation.figures import Block, blocks, facts
from benchmarks.generation.result import GenerationResult

_ABSENT = "no result"


def table(result: GenerationResult) -> str:
    """All figures with their floor, who is absent and why, notes, and the paper's own figures apart."""
    lines = [result.title, *facts(result)]
    for block in blocks(result):
        lines += ["", *block_lines(block)]
    if result.embedding:
        lines += ["", f"t-SNE: seed {result.embedding.seed}, perplexity {result.embedding.perplexity:g}; on the page"]
    return "\n".join([*lines, "", *ending(result.absent, result.notes, result.paper)]).rstrip()


def block_lines(block: Block) -> list[str]:
    """The block with aligned columns; a row without texts says that it has no result."""
    first = max(len(label) for label, _ in block.rows)
    texts = [row for _, row in block.rows if row]
    widths = [max(len(heading), *(len(row[place]) for row in texts), 0) for place, heading in enumerate(block.columns)]
    heads = "".join(f"  {heading:>{width}}" for heading, width in zip(block.columns, widths, strict=True))
    lines = [f"{block.heading}:", "  " + " " * first + heads]
    for label, row in block.rows:
        cells = "".join(f"  {text:>{width}}" for text, width in zip(row, widths, strict=True)) if row else ""
        lines.append(f"  {label:<{first}}{cells or f'  {_ABSENT}'}")
    return lines


def ending(absent: Sequence[tuple[str, str]], notes: Sequence[str], paper: dict[str, Any] | None) -> list[str]:
    """Absent methods, notes, and the paper's own figures."""
    lines = [f"{label}: {reason}" for label, reason in absent]
    lines += [f"note: {note}" for note in notes]
    if paper:
        lines += ["", f"the paper's own figures ({paper['title']}), on its data; {paper['beside']}:"]
        lines += [f"  {line}" for line in paper_lines(paper)]
    return lines


def paper_lines(paper: dict[str, Any]) -> list[str]:
    """The rows of the paper's table, aligned, under the names of its columns."""
    keys = [key for key in paper["rows"][0] if key != "method"]
    rows = [["", *(PAPER_TITLES.get(key, key) for key in keys)]]
    rows += [[row["method"], *(paper_text(row[key]) for key in keys)] for row in paper["rows"]]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def paper_text(value: object) -> str:
    """A figure as the paper prints it, with four decimals where it is a measure."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


PAPER_TITLES = {
    "fid": "FID",
    "ms_ssim": "MS-SSIM",
    "mmd": "MMD",
    "training_h": "training, h",
    "inference": "inference",
    "kidney_dice": "kidney Dice",
    "tumour_dice": "tumour Dice",
    "kidney_hd95": "kidney 95HD",
    "tumour_hd95": "tumour 95HD",
}
"""The columns of the paper's tables as it names them."""
