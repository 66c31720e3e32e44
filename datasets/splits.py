"""Which split a subject belongs to: by a hash of its name, by a JSON file, or by the folder it lies in.

A hash sends a subject to the same split on every machine and in every version of a data set: a case that is added
moves none of the others. The price is that the sizes of the splits only approach the shares that were asked for.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.case import SPLITS, Case, Split

TEST_SHARE, VAL_SHARE = 0.2, 0.1
"""Parts of all subjects, on average. A fifth for testing is that of the 3D MedDiffusion paper (40 of KiTS19's 210)."""


def split_by_hash(subject: str) -> Split:
    """The split of a subject, by the SHA-256 of its name alone: uniform, and the same everywhere and for ever."""
    digest = hashlib.sha256(subject.encode("utf-8")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < TEST_SHARE:
        return "test"
    return "val" if position < TEST_SHARE + VAL_SHARE else "train"


@dataclass(frozen=True)
class StatedSplits:
    """Splits written down by the user: ``of`` maps each name (of a case, a file or a subject) to its split."""

    file: Path
    of: Mapping[str, Split]

    def split_of(self, names: Iterable[str]) -> Split | None:
        """The split of a case that goes by several names; None if none of them is listed.

        Raises:
            ValueError: two of its names are listed, in different splits.
        """
        found = {name: self.of[name] for name in names if name in self.of}
        if len(set(found.values())) > 1:
            listed = " and ".join(f"{name!r} ({split})" for name, split in found.items())
            raise ValueError(f"{self.file}: one case is listed as {listed}; list it once")
        return next(iter(found.values()), None)

    def check_known(self, names: Iterable[str]) -> None:
        """``ValueError`` if something is listed that is no case, file or subject of the data set."""
        known = set(names)
        for name in self.of:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{self.file}: {name!r} is no case or subject of this data set{hint}")


def read_splits(file: Path) -> StatedSplits:
    """Read ``{"train": [...], "val": [...], "test": [...]}``, each a list of cases, files or subjects.

    Raises:
        ValueError: it cannot be read, is something else, or lists a name twice.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not set(content) <= set(SPLITS):
        raise ValueError(f'{file}: must be {{"train": [...], "val": [...], "test": [...]}}')
    of: dict[str, Split] = {}
    for split in SPLITS:
        for name in _names(file, split, content.get(split, [])):
            if name in of:
                raise ValueError(f"{file}: {name!r} is listed twice ({of[name]} and {split}); list it once")
            of[name] = split
    return StatedSplits(file, of)


def check_no_leak(cases: Iterable[Case]) -> None:
    """``ValueError`` if a subject is in two splits: what is learned of it would be tested on it."""
    seen: dict[str, Case] = {}
    for case in cases:
        first = seen.setdefault(case.subject, case)
        if first.split != case.split:
            raise ValueError(
                f"subject {case.subject!r} is in two splits: {first.id} ({first.split}) and {case.id} ({case.split}); "
                "put all of its cases in one, or tell subjects apart by a pattern (`subject`)"
            )


def _names(file: Path, split: str, names: object) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{file}: {split!r} must be a list of names")
    return names
