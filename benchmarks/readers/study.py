"""What a study is made of, and its two documents: the key, which stays with the organiser, and what a page is told."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.readers.plan import Trial
from benchmarks.readers.questions import MOST_IMAGES, QUESTIONS, WINDOWS
from benchmarks.readers.sources import Match
from recon.scan.volume import Modality

REAL = "real"
"""The name of the real volumes among the methods."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True)
class Request:
    """What is asked of a study.

    Attributes:
        methods: the folder of each method by its name.
        readers: the names of the readers, one page each.
        cases: the number of cases that are ranked.
        real: the folder of the real volumes; None for a study without them.
        ours: the method that the others are compared with beside the real volumes; None: the first.
        repeats: the number of cases that are shown twice; None: about 15 %.
        match: the way in which volumes become cases, see :func:`benchmarks.readers.sources.choose_sets`.
        modality: the modality of all volumes.
        seed: the seed of every draw.
        case_megabytes: the largest size of one case.

    Raises:
        ValueError: names that cannot be used, too few or too many methods, more repeats than cases.
    """

    methods: Mapping[str, Path]
    readers: Sequence[str]
    cases: int
    real: Path | None = None
    ours: str | None = None
    repeats: int | None = None
    match: Match = "auto"
    modality: Modality = "CT"
    seed: int = 0
    case_megabytes: float = 10.0
    folders: dict[str, Path] = field(init=False)

    def __post_init__(self) -> None:
        if REAL in self.methods:
            raise ValueError(f"`method` {REAL}: this name is for the folder of `real`; choose another")
        object.__setattr__(self, "folders", ({REAL: self.real} if self.real else {}) | dict(self.methods))
        for parameter, names in (("method", self.methods), ("reader", self.readers)):
            wrong = next((name for name in names if not _NAME.fullmatch(name)), None)
            if wrong is not None:
                raise ValueError(f"`{parameter}` {wrong}: must be up to 40 letters, digits, dots, dashes, underscores")
        if len({reader.lower() for reader in self.readers}) != len(self.readers):
            raise ValueError("`reader`: two readers have the same name; each needs another")
        if not 2 <= len(self.folders) <= MOST_IMAGES:
            raise ValueError(f"`method`: 2 to {MOST_IMAGES} methods are ranked, real volumes counted")
        if self.ours is not None and self.ours not in self.methods:
            raise ValueError(f"`ours` {self.ours}: must be one of {', '.join(self.methods)}")
        if self.repeats is not None and not 0 <= self.repeats <= self.cases:
            raise ValueError(f"`repeats` {self.repeats}: must be from 0 to the number of cases, {self.cases}")


def sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def page_study(
    request: Request, reader: str, trials: Sequence[Trial], texts: Sequence[str], notes: Sequence[str]
) -> dict[str, Any]:
    """What the page of a reader is told, without hint of methods, files or repeats.

    Args:
        request: the study.
        reader: the name of the reader.
        trials: the screens of the reader.
        texts: the packed volumes of each screen.
        notes: sentences on how the volumes were prepared.

    Returns:
        The content of the page, with its hash as ``page_sha256``.
    """
    study = {
        "format": "reader-study",
        "version": 1,
        "reader": reader,
        "seed": request.seed,
        "unit": "HU" if request.modality == "CT" else "",
        "images": len(request.folders),
        "questions": [vars(question) for question in QUESTIONS],
        "windows": [{"name": w.name, "centre": w.centre, "width": w.width} for w in WINDOWS[request.modality]],
        "notes": list(notes),
        "trials": [
            {"id": trial_id(index), "practice": trial.kind == "practice", "data_sha256": sha256(text)}
            for index, (trial, text) in enumerate(zip(trials, texts, strict=True))
        ],
    }
    return {**study, "page_sha256": sha256(json.dumps(study, sort_keys=True))}


def key_text(
    request: Request,
    salt: str,
    sets: Sequence[Mapping[str, Path]],
    hashes: Mapping[Path, str],
    plans: Mapping[str, Sequence[Trial]],
    pages: Mapping[str, str],
    is_matched: bool,
) -> str:
    """The key: which method is behind which letter.

    Args:
        request: the study.
        salt: the text that the orders were drawn with.
        sets: the files of each case.
        hashes: the SHA-256 of each file.
        plans: the screens of each reader.
        pages: the hash of the page of each reader.
        is_matched: whether the files of a case show one anatomy.
    """
    content = {
        "format": "reader-study-key",
        "version": 1,
        "seed": request.seed,
        "salt": salt,
        "modality": request.modality,
        "methods": list(request.folders),
        "real": REAL if request.real else None,
        "ours": request.ours or next(iter(request.methods)),
        "questions": [question.key for question in QUESTIONS],
        "matched": is_matched,
        "cases": [
            {method: {"file": str(path), "sha256": hashes[path]} for method, path in files.items()} for files in sets
        ],
        "readers": {
            reader: {"page_sha256": pages[reader], "trials": [_trial(i, trial) for i, trial in enumerate(trials)]}
            for reader, trials in plans.items()
        },
    }
    return json.dumps(content, indent=1) + "\n"


def trial_id(index: int) -> str:
    """The name of a screen in files: two digits or more, 00 for practice."""
    return f"{index:02d}"


def _trial(index: int, trial: Trial) -> dict[str, Any]:
    return {
        "id": trial_id(index),
        "kind": trial.kind,
        "case": trial.set_index,
        "order": list(trial.order),
        "broken": trial.broken,
    }
