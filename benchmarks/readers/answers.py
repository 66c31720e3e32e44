"""Files of answers and the key: read strictly, and refused where they do not belong together."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from benchmarks.readers.plan import Kind
from priors.training.section import Section, first_problem


class TrialKey(Section):
    """What was on one screen of a reader."""

    id: str
    kind: Kind
    case: int
    order: list[str]
    broken: str | None


class ReaderKey(Section):
    """One reader: the hash of the page, and the screens."""

    page_sha256: str
    trials: list[TrialKey]


class Key(Section):
    """The key that ``benchmarks readers make`` wrote."""

    format: Literal["reader-study-key"]
    version: Literal[1]
    seed: int
    salt: str
    modality: Literal["CT", "MR"]
    methods: list[str]
    real: str | None
    ours: str
    questions: list[str]
    matched: bool
    cases: list[dict[str, dict[str, str]]]
    readers: dict[str, ReaderKey]


class TrialAnswers(Section):
    """The answers to one screen: a rank for each letter and question, None where there is none."""

    id: str
    ranks: dict[str, list[int | None]]
    comment: str
    ties: bool
    milliseconds: int
    windows: dict[str, int]
    done: bool


class AnswerFile(Section):
    """A file that a page exported."""

    format: Literal["reader-answers"]
    version: Literal[1]
    page_sha256: str
    key_sha256: str
    reader: str
    seed: int
    started: str
    exported: str
    finished: bool
    order: list[str]
    crc32: str
    trials: list[TrialAnswers]


@dataclass(frozen=True)
class Answer:
    """A finished screen.

    Attributes:
        shown: what was on it.
        given: the answers.
    """

    shown: TrialKey
    given: TrialAnswers

    def ranks(self, question: str) -> dict[str, int]:
        """The rank of each method."""
        found = zip(self.shown.order, self.given.ranks[question], strict=True)
        return {method: rank for method, rank in found if rank is not None}


@dataclass(frozen=True)
class Reader:
    """One reader's finished screens.

    Attributes:
        name: the name of the reader in the key.
        study: the hash of the key, which tells equal case numbers of two studies apart.
        answers: the finished screens in the order in which they were shown, practice left out.
        cases: the number of cases, repeats and control included, that the page has.
    """

    name: str
    study: str
    answers: tuple[Answer, ...]
    cases: int


M = TypeVar("M", bound=Section)


def read_key(path: Path) -> tuple[str, Key]:
    """The SHA-256 of a key file, and its content.

    Raises:
        ValueError: no such file, or one that is damaged or something else.
    """
    content = _bytes(path)
    return hashlib.sha256(content).hexdigest(), _parsed(Key, content, path, "the key of a reader study")


def read_answers(path: Path, keys: dict[str, Key]) -> Reader:
    """The answers of a file, checked against the key that its page names.

    Args:
        path: the file that a page exported.
        keys: the keys by their SHA-256.

    Raises:
        ValueError: no such file; a damaged one; one of another key or page.
    """
    file = _parsed(AnswerFile, _bytes(path), path, "the answers of a reader")
    key = keys.get(file.key_sha256)
    if key is None:
        raise ValueError(f"{path}: belongs to another study: its key is {file.key_sha256[:12]}; give it as `key`")
    known = key.readers.get(file.reader)
    if known is None or known.page_sha256 != file.page_sha256:
        raise ValueError(f"{path}: belongs to another page than the key has for reader {file.reader}")
    if file.crc32 != checksum(file, key.questions):
        raise ValueError(f"{path}: damaged, or changed after it was exported; export it again")
    shown = {trial.id: trial for trial in known.trials}
    done = [Answer(shown[given.id], given) for given in _checked(file, key, shown, path) if given.done]
    counted = tuple(answer for answer in done if answer.shown.kind != "practice")
    cases = sum(trial.kind != "practice" for trial in known.trials)
    return Reader(file.reader, file.key_sha256, counted, cases)


def _checked(file: AnswerFile, key: Key, shown: dict[str, TrialKey], path: Path) -> Iterator[TrialAnswers]:
    """The screens of a file, each of which is on the page and, where it is finished, complete."""
    count = len(key.methods)
    for given in file.trials:
        if given.id not in shown or set(given.ranks) != set(key.questions):
            raise ValueError(f"{path}: damaged: screen {given.id} is not on the page, or its questions are not")
        ranks = [rank for each in given.ranks.values() for rank in each]
        lengths = {len(each) for each in given.ranks.values()}
        outside = any(rank is not None and not 1 <= rank <= count for rank in ranks)
        if lengths != {count} or outside or (given.done and None in ranks):
            raise ValueError(f"{path}: damaged: screen {given.id} has not one rank from 1 to {count} for each image")
        yield given


def checksum(file: AnswerFile, questions: Sequence[str]) -> str:
    """CRC-32 of the answers, as record.js computes it."""
    lines = [file.page_sha256]
    for each in file.trials:
        ranks = [
            f"{key}={','.join('' if rank is None else str(rank) for rank in each.ranks.get(key, []))}"
            for key in questions
        ]
        lines.append("|".join([each.id, "true" if each.done else "false", *ranks, each.comment]))
    signed = "\n".join(lines).encode("utf-8", "replace")
    return f"{zlib.crc32(signed):08x}"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error


def _parsed(kind: type[M], content: bytes, path: Path, wanted: str) -> M:
    try:
        return kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(f"{path}: not {wanted}, or damaged: {first_problem(error, kind)}") from error
