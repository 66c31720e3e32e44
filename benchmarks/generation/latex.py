"""A table of generators for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.generation.figures import Block, blocks, facts
from benchmarks.generation.result import GenerationResult
from benchmarks.generation.text import PAPER_TITLES, paper_text
from benchmarks.render.documents import latex_escaped, one_line


def latex(result: GenerationResult) -> str:
    """A ``tabular`` for each block, and one for the paper's own figures, which says that they are the paper's."""
    return tabulars(result.title, facts(result), blocks(result), result.absent, result.paper)


def tabulars(
    title: str,
    sentences: Sequence[str],
    parts: Sequence[Block],
    absent: Sequence[tuple[str, str]],
    paper: dict[str, Any] | None,
) -> str:
    """Blocks as LaTeX; sentences and the reasons of absent methods are comments."""
    head = [f"% {one_line(line)}" for line in (title, *sentences, *(": ".join(each) for each in absent))]
    texts = [_tabular(block) for block in parts]
    if paper:
        keys = [key for key in paper["rows"][0] if key != "method"]
        rows = tuple((row["method"], tuple(paper_text(row[key]) for key in keys)) for row in paper["rows"])
        titles = tuple(PAPER_TITLES.get(key, key) for key in keys)
        texts.append(_tabular(Block(f"The paper's own figures, on its data: {paper['title']}", titles, rows)))
    return "\n".join(head) + "\n\n" + "\n\n".join(texts) + "\n"


def _tabular(block: Block) -> str:
    width = len(block.columns)
    lines = [f"% {one_line(block.heading)}", r"\begin{tabular}{l" + "r" * width + "}", r"\hline"]
    lines.append(" & " + " & ".join(map(latex_escaped, block.columns)) + r" \\ \hline")
    for label, texts in block.rows:
        cells = map(latex_escaped, texts) if texts else [rf"\multicolumn{{{width}}}{{c}}{{no result}}"]
        lines.append(f"{latex_escaped(label)} & " + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}"])
