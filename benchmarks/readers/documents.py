"""The figures of a study for people: tables as text, Markdown and HTML."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.readers.questions import QUESTIONS
from benchmarks.readers.statistics import Agreement, Friedman
from benchmarks.readers.summary import QuestionFigures, ReaderFigures, Summary
from recon import report

TITLES = {question.key: question.title for question in QUESTIONS}
DASH = "–"


@dataclass(frozen=True)
class Block:
    """A heading, a table and sentences below it."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]


def blocks(summary: Summary) -> Iterator[Block]:
    """The parts of a report: one for each question, the readers, and what was remarked."""
    for question in summary.questions:
        yield _question(question, summary)
    yield _readers(summary)
    for question in summary.questions:
        yield _means(question.question, summary)
    if summary.remarks:
        yield _remarks(summary)


def text(summary: Summary) -> str:
    """Tables with aligned columns."""
    return "\n\n".join("\n".join(_aligned(block)) for block in blocks(summary))


def markdown(summary: Summary) -> str:
    """Tables in Markdown."""
    parts = [f"# Reader study\n\n{_title(summary)}"]
    for block in blocks(summary):
        lines = [block.columns, tuple("---" for _ in block.columns), *block.rows]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        parts.append("\n\n".join([f"## {block.heading}", table, *block.sentences]))
    return "\n\n".join(parts) + "\n"


def page(summary: Summary) -> str:
    """A page of tables, without script, that needs no network."""
    style = Path(report.__file__).with_name("style.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Reader study</title>\n<style>\n{style}\n</style>\n</head>\n<body>\n<header><h1>Reader study</h1>"
        f'<p class="research">{html.escape(_title(summary))}</p></header>\n<main>'
    ]
    parts += [_section(block) for block in blocks(summary)]
    return "\n".join([*parts, "</main>\n</body>\n</html>\n"])


def _title(summary: Summary) -> str:
    readers, cases = len(summary.readers), summary.cases
    return (
        f"{readers} reader{'s' if readers > 1 else ''}, {cases} case{'s' if cases > 1 else ''}, "
        f"{len(summary.methods)} methods. Rank 1 is the best."
    )


def _question(question: QuestionFigures, summary: Summary) -> Block:
    references = list(dict.fromkeys(name for name in (summary.real, summary.ours) if name))
    rows = []
    for figures in sorted(question.methods, key=lambda each: each.mean):
        low, high = figures.low, figures.high
        interval = DASH if low is None or high is None else f"{low:.2f} to {high:.2f}"
        tests = (_p(figures.p.get(reference)) for reference in references)
        rows.append((figures.method, f"{figures.mean:.2f}", _number(figures.sd, 2), interval, *tests))
    columns = ("method", "mean rank", "sd", "95 % interval", *(f"p against {name}" for name in references))
    sentences = [_friedman(question.friedman, question.blocks)]
    if question.icc_single and question.icc_mean:
        single, mean = _icc("ICC(A,1)", question.icc_single), _icc("ICC(A,k)", question.icc_mean)
        sentences.append(f"Agreement of the readers' mean ranks: {single}; {mean}.")
    sentences.append(
        "Interval: bootstrap over cases. p: Wilcoxon's signed-rank test over blocks, corrected after Holm by column."
    )
    return Block(f"{TITLES[question.question]}: mean ranks", columns, tuple(rows), tuple(sentences))


def _friedman(found: Friedman | None, blocks: int) -> str:
    counted = f"{blocks} block{'s' if blocks > 1 else ''} of one reader and one case"
    if found is None:
        return f"Friedman's test needs three methods and two blocks that differ; there {_are(blocks)} {counted}."
    return f"Friedman: chi2 {found.statistic:.2f}, {_equals(found.p)}, Kendall's W {found.kendall_w:.2f}, {counted}."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _readers(summary: Summary) -> Block:
    keys = [question.question for question in summary.questions]
    repeats = [f"{what}, {TITLES[key].lower()}" for key in keys for what in ("Spearman", "shift")]
    columns = ("reader", "done", "min a case", "ties", "control", "repeats", *repeats)
    sentences = (
        "control: whether the broken volume had the last rank alone. Spearman and shift: the correlation, and the mean "
        "difference in places, of two rankings of one case.",
    )
    return Block("Readers", columns, tuple(_reader(each, keys) for each in summary.readers), sentences)


def _reader(figures: ReaderFigures, keys: Sequence[str]) -> tuple[str, ...]:
    control = {None: DASH, True: "passed", False: "failed"}[figures.control]
    repeats = [_number(each[key], 2) for key in keys for each in (figures.spearman, figures.shift)]
    done = f"{figures.done} of {figures.cases}"
    minutes = _number(figures.minutes, 1)
    return figures.reader, done, minutes, str(figures.ties), control, str(figures.repeats), *repeats


def _means(question: str, summary: Summary) -> Block:
    """The mean ranks of each reader."""
    rows = tuple(
        (each.reader, *(_number(each.means[question].get(method), 2) for method in summary.methods))
        for each in summary.readers
    )
    return Block(f"{TITLES[question]}: mean ranks of each reader", ("reader", *summary.methods), rows, ())


def _remarks(summary: Summary) -> Block:
    rows = tuple(
        (each.reader, each.screen, " ".join(each.text.split()), _letters(each.order)) for each in summary.remarks
    )
    return Block("Remarks", ("reader", "case", "remark", "letters"), rows, ())


def _letters(order: Sequence[str]) -> str:
    return ", ".join(f"{chr(ord('A') + place)} {method}" for place, method in enumerate(order))


def _icc(name: str, found: Agreement) -> str:
    interval = "" if found.low is None or found.high is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{name} {found.value:.2f}{interval}"


def _number(value: float | None, digits: int) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def _p(value: float | None) -> str:
    return DASH if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _equals(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _aligned(block: Block) -> Iterator[str]:
    lines = [block.columns, *block.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(block.columns))]
    yield block.heading
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    yield from block.sentences


def _section(block: Block) -> str:
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in block.columns)
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in block.rows
    )
    words = "".join(f'<p class="small">{html.escape(sentence)}</p>' for sentence in block.sentences)
    heading = html.escape(block.heading)
    return (
        f'<section>\n<h2>{heading}</h2>\n<div class="scroll" tabindex="0" role="region" aria-label="{heading}">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n{words}\n</section>"
    )
