"""From the answers of all readers to the figures of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.readers.answers import Answer, Key, Reader, read_answers, read_key
from benchmarks.readers.statistics import (
    Agreement,
    Friedman,
    agreement,
    bootstrap_means,
    friedman,
    holm,
    mid_ranks,
    spearman,
    wilcoxon_against,
)


@dataclass(frozen=True)
class MethodFigures:
    """The ranks of one method for one question.

    Attributes:
        method: the name.
        mean: the mean rank, 1 for the best.
        sd: the standard deviation over blocks of one reader and one case; None of one block.
        low, high: the 95 % bootstrap interval of the mean over cases; None of one case.
        p: the p-values of Wilcoxon's test against each method of reference, corrected after Holm; None of too few
            blocks.
    """

    method: str
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    p: Mapping[str, float | None]


@dataclass(frozen=True)
class QuestionFigures:
    """One question.

    Attributes:
        question: the key of the question.
        blocks: the number of blocks of one reader and one case.
        methods: the figures of each method.
        friedman: the test of all methods; None where there are too few.
        icc_single: the agreement of one reader, ICC(A,1); None of one reader.
        icc_mean: the agreement of the mean of all readers, ICC(A,k); None of one reader.
    """

    question: str
    blocks: int
    methods: tuple[MethodFigures, ...]
    friedman: Friedman | None
    icc_single: Agreement | None
    icc_mean: Agreement | None


@dataclass(frozen=True)
class ReaderFigures:
    """One reader.

    Attributes:
        reader: the name.
        done: the number of finished cases, repeats and control included.
        cases: the number of cases on the page.
        minutes: the median of the minutes for a case.
        ties: the number of cases with ranks that are shared.
        control: whether the broken volume had the last rank alone in every question; None where it was not reached.
        repeats: the number of cases that were ranked twice.
        spearman: the mean correlation of the two rankings, for each question; None without repeats.
        shift: the mean difference of the two ranks of an image, in places, for each question; None without repeats.
        means: the mean rank of each method, for each question.
    """

    reader: str
    done: int
    cases: int
    minutes: float | None
    ties: int
    control: bool | None
    repeats: int
    spearman: Mapping[str, float | None]
    shift: Mapping[str, float | None]
    means: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Remark:
    """What a reader remarked on a case.

    Attributes:
        reader: the name of the reader.
        screen: the screen, as the key names it.
        order: the method behind each letter.
        text: the remark.
    """

    reader: str
    screen: str
    order: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Summary:
    """A study.

    Attributes:
        methods: the methods in the order of the key.
        real: the name of the real volumes; None without them.
        ours: the method that the others are compared with beside the real volumes.
        cases: the number of cases that some reader has ranked.
        questions: the figures of each question.
        readers: the figures of each reader.
        remarks: what readers remarked.
    """

    methods: tuple[str, ...]
    real: str | None
    ours: str
    cases: int
    questions: tuple[QuestionFigures, ...]
    readers: tuple[ReaderFigures, ...]
    remarks: tuple[Remark, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Blocks:
    """Ranks for one question, a row for each reader and case.

    Attributes:
        ranks: (blocks, methods) ranks; those that are shared are means of the places.
        readers: the reader of each row.
        cases: the case of each row.
    """

    ranks: np.ndarray
    readers: tuple[str, ...]
    cases: tuple[tuple[str, int], ...]


def summarise(files: Sequence[Path], key_files: Sequence[Path]) -> Summary:
    """The figures of all answers that were exported.

    Args:
        files: one file of answers for each reader.
        key_files: the keys of the pages, which are of the same methods.

    Raises:
        ValueError: a file that is damaged or belongs to another study; keys of different methods; two files of one
            reader; no finished case.
    """
    keys = dict(read_key(path) for path in key_files)
    first = next(iter(keys.values()))
    fields = ("methods", "real", "ours", "questions")
    if any(getattr(key, name) != getattr(first, name) for key in keys.values() for name in fields):
        raise ValueError(f"{key_files[-1]}: this key is of other methods or questions; read each study alone")
    readers: dict[tuple[str, str], tuple[Path, Reader]] = {}
    for path in files:
        reader = read_answers(path, keys)
        other = readers.setdefault((reader.study, reader.name), (path, reader))[0]
        if other != path:
            raise ValueError(f"{path}: answers of reader {reader.name}, as {other}; give the later file alone")
    return _summary(first, [reader for _, reader in readers.values()])


def _summary(key: Key, readers: Sequence[Reader]) -> Summary:
    if not any(answer.shown.kind == "case" for reader in readers for answer in reader.answers):
        raise ValueError("no case is finished in these files; cases are counted when the reader has pressed Done")
    blocks = {question: _blocks(readers, key.methods, question) for question in key.questions}
    return Summary(
        methods=tuple(key.methods),
        real=key.real,
        ours=key.ours,
        cases=len(set(blocks[key.questions[0]].cases)),
        questions=tuple(_question(question, each, key) for question, each in blocks.items()),
        readers=tuple(_reader(reader, key, blocks) for reader in readers),
        remarks=tuple(
            Remark(reader.name, answer.shown.id, tuple(answer.shown.order), answer.given.comment)
            for reader in readers
            for answer in reader.answers
            if answer.given.comment.strip()
        ),
    )


def _blocks(readers: Sequence[Reader], methods: Sequence[str], question: str) -> Blocks:
    """The rankings that count: each finished case at its first showing."""
    counted = [(reader, answer) for reader in readers for answer in reader.answers if answer.shown.kind == "case"]
    ranks = np.array([_row(answer, methods, question) for _, answer in counted], dtype=np.float64)
    names = tuple(reader.name for reader, _ in counted)
    return Blocks(mid_ranks(ranks), names, tuple((reader.study, answer.shown.case) for reader, answer in counted))


def _row(answer: Answer, methods: Sequence[str], question: str) -> list[int]:
    ranks = answer.ranks(question)
    return [ranks[method] for method in methods]


def _question(question: str, blocks: Blocks, key: Key) -> QuestionFigures:
    ranks = blocks.ranks
    intervals = bootstrap_means(ranks, blocks.cases)
    corrected = {
        reference: holm(wilcoxon_against(ranks, key.methods.index(reference)))
        for reference in dict.fromkeys(name for name in (key.real, key.ours) if name)
    }
    names = list(dict.fromkeys(blocks.readers))
    means = np.array([ranks[[reader == name for reader in blocks.readers]].mean(axis=0) for name in names])
    agreed = agreement(means.T) or (None, None)
    return QuestionFigures(
        question=question,
        blocks=len(ranks),
        methods=tuple(
            MethodFigures(
                method=method,
                mean=float(ranks[:, i].mean()),
                sd=float(ranks[:, i].std(ddof=1)) if len(ranks) > 1 else None,
                low=None if intervals is None else float(intervals[i, 0]),
                high=None if intervals is None else float(intervals[i, 1]),
                p={reference: each[i] for reference, each in corrected.items() if i in each},
            )
            for i, method in enumerate(key.methods)
        ),
        friedman=friedman(ranks),
        icc_single=agreed[0],
        icc_mean=agreed[1],
    )


def _reader(reader: Reader, key: Key, blocks: Mapping[str, Blocks]) -> ReaderFigures:
    control = [answer for answer in reader.answers if answer.shown.kind == "control"]
    minutes = [answer.given.milliseconds / 60000 for answer in reader.answers]
    pairs = _repeated(reader)
    means = {}
    for question, each in blocks.items():
        own = each.ranks[[name == reader.name for name in each.readers]]
        means[question] = dict(zip(key.methods, own.mean(axis=0).tolist(), strict=True)) if len(own) else {}
    return ReaderFigures(
        reader=reader.name,
        done=len(reader.answers),
        cases=reader.cases,
        minutes=float(np.median(minutes)) if minutes else None,
        ties=sum(answer.given.ties for answer in reader.answers),
        control=all(_is_last(answer, question) for answer in control for question in blocks) if control else None,
        repeats=len(pairs),
        spearman={question: _spearman(pairs, key.methods, question) for question in blocks},
        shift={question: _shift(pairs, key.methods, question) for question in blocks},
        means=means,
    )


def _is_last(answer: Answer, question: str) -> bool:
    """Whether the volume that was broken on purpose is ranked below all others."""
    ranks = answer.ranks(question)
    return all(
        ranks[str(answer.shown.broken)] > rank for method, rank in ranks.items() if method != answer.shown.broken
    )


def _repeated(reader: Reader) -> list[tuple[Answer, Answer]]:
    """The cases that a reader has ranked twice."""
    first = {answer.shown.case: answer for answer in reader.answers if answer.shown.kind == "case"}
    second = [answer for answer in reader.answers if answer.shown.kind == "repeat"]
    return [(first[answer.shown.case], answer) for answer in second if answer.shown.case in first]


def _spearman(pairs: Sequence[tuple[Answer, Answer]], methods: Sequence[str], question: str) -> float | None:
    found = [spearman(*(_row(answer, methods, question) for answer in pair)) for pair in pairs]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def _shift(pairs: Sequence[tuple[Answer, Answer]], methods: Sequence[str], question: str) -> float | None:
    if not pairs:
        return None
    rows = np.array([[_row(answer, methods, question) for answer in pair] for pair in pairs], dtype=np.float64)
    return float(np.abs(mid_ranks(rows[:, 0]) - mid_ranks(rows[:, 1])).mean())
