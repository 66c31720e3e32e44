"""What results call cases and subjects: their own names where these are public, hashes where they may be people's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets.case import Case
from datasets.walk import without_suffix
from datasets.whole_file import whole_file
from priors.weights.seen import new_salt, salted

SALT_FILE = "salt"
"""In a folder of results: the salt of all hashes in it, so that a case has one name in all tables of the folder."""

_DIGITS = 12
_SHORTEST = 3


@dataclass(frozen=True)
class Names:
    """The names that results use.

    Attributes:
        hidden: the names that results give to a case and to its subject, by the case's id; a case that is not in it
            keeps its own names.
    """

    hidden: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def case(self, case: Case) -> str:
        """What results call a case."""
        return self.hidden.get(case.id, (case.id, ""))[0]

    def subject(self, case: Case) -> str:
        """What results call a case's subject."""
        return self.hidden.get(case.id, ("", case.subject))[1]

    def without(self, text: str, case: Case) -> str:
        """A text, such as an error's, in which a case goes by the name that results use."""
        if case.id not in self.hidden:
            return text
        names = {str(case.path), case.path.name, without_suffix(case.path.name), case.id, case.subject}
        for name in sorted(names, key=len, reverse=True):
            if len(name) >= _SHORTEST:  # a letter or two name nobody, and stand in every sentence
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", self.case(case), text)
        return text


def names_for(cases: Sequence[Case], store: Path) -> Names:
    """Names for cases that may be called after people.

    Args:
        cases: those whose own names results must not hold.
        store: the folder of results; its salt is made if there is none, unless there is nothing to hide.
    """
    salt = _salt(store) if cases else ""
    return Names(
        {
            case.id: (
                f"case-{salted(case.id, salt)[:_DIGITS]}",
                f"subject-{salted(case.subject, salt)[:_DIGITS]}",
            )
            for case in cases
        }
    )


def _salt(store: Path) -> str:
    path = store / SALT_FILE
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        known = ""
    if not known:
        known = new_salt()
        store.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(known + "\n", encoding="ascii")
    return known
