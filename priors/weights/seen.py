"""Whose data a network has seen: salted hashes in the cards of weights files, and the union along a chain of networks.

A card names nobody. It holds a random salt, and of each subject and case of the training the hash with that salt: who
has the names can ask whether one of them is in it, and nobody can read one out of it. Short or numbered names can be
guessed by trying all of them, which the many rounds of the hash make slow, not impossible. Beside the names stand the
hashes of the files' contents, which find a case again that goes by another name.

Cards that were written before this have plain names and no salt. They are read as they are, and disguised when they are
written anew.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_ROUNDS = 1000
_DIGITS = 32

SALT, SUBJECTS, CASES, CONTENTS = "salt", "subjects", "cases", "contents"
BEFORE = "seen_before"
CALIBRATED_ON = "calibrated_on"
"""Keys of a card's extra facts; the second last holds a list of what the networks before this one have seen."""


def new_salt() -> str:
    """A random salt, 32 hexadecimal digits."""
    return secrets.token_hex(16)


@lru_cache(maxsize=1 << 16)
def salted(name: str, salt: str) -> str:
    """The hash that stands for a name, 32 hexadecimal digits: PBKDF2 with HMAC-SHA-256 (RFC 8018)."""
    return hashlib.pbkdf2_hmac("sha256", name.encode("utf-8"), salt.encode("ascii"), _ROUNDS).hex()[:_DIGITS]


def short_content(sha256: str) -> str:
    """The part of a content's SHA-256 that cards hold."""
    return sha256[:_DIGITS]


@dataclass(frozen=True)
class Seen:
    """The data of one training.

    Attributes:
        salt: the salt of the names' hashes; "" where the names are plain, as in earlier files.
        subjects: the subjects, as hashes.
        cases: the ids of the cases, as hashes.
        contents: the beginnings of the SHA-256 of the cases' files.
    """

    salt: str
    subjects: frozenset[str]
    cases: frozenset[str]
    contents: frozenset[str] = frozenset()

    @classmethod
    def of(cls, subjects: Iterable[str], cases: Iterable[str], contents: Iterable[str] = ()) -> Seen:
        """From plain names and SHA-256 of contents, under a salt of its own."""
        salt = new_salt()
        hashed = [frozenset(salted(name, salt) for name in names) for names in (subjects, cases)]
        return cls(salt, hashed[0], hashed[1], frozenset(map(short_content, contents)))

    def knows(self, subject: str, case: str, content: str = "") -> bool:
        """Whether a subject, a case or the SHA-256 of a content is among them; plain names and "" for unknown."""
        names = (subject, case)
        if self.salt:
            names = (salted(subject, self.salt), salted(case, self.salt))
        known = self.subjects | self.cases
        return any(name in known for name in names) or (bool(content) and short_content(content) in self.contents)

    def disguised(self) -> Seen:
        """The same without a plain name."""
        return self if self.salt else Seen.of(self.subjects, self.cases, self.contents)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a card's extra facts."""
        values: dict[str, Any] = {SUBJECTS: sorted(self.subjects), CASES: sorted(self.cases)}
        return ({SALT: self.salt} if self.salt else {}) | values | {CONTENTS: sorted(self.contents)}


def seen_in(extra: Mapping[str, Any]) -> list[Seen]:
    """What a network has seen, by its card's extra facts: its own data first, then those of the networks before it.

    The cases that a head was calibrated on count as its own.
    """
    before = extra.get(BEFORE)
    parts = [extra, *(before if isinstance(before, list) else ())]
    found = [_seen(part) for part in parts if isinstance(part, Mapping)]
    return [each for each in found if each.subjects or each.cases or each.contents]


def _seen(values: Mapping[str, Any]) -> Seen:
    subjects, cases, contents = (_names(values.get(key)) for key in (SUBJECTS, CASES, CONTENTS))
    return Seen(str(values.get(SALT, "")), subjects, cases | _names(values.get(CALIBRATED_ON)), contents)


def _names(values: Any) -> frozenset[str]:
    return frozenset(map(str, values)) if isinstance(values, (list, tuple)) else frozenset()


def chain_facts(own: Seen, before: Sequence[Seen]) -> dict[str, Any]:
    """Extra facts of a card: a training's own data, and the union of what the networks that it began with have seen."""
    unlike = dict.fromkeys(each.disguised() for each in dict.fromkeys(before))
    return own.disguised().to_dict() | {BEFORE: [each.to_dict() for each in unlike if each != own]}


def without_names(extra: Mapping[str, Any]) -> dict[str, Any]:
    """A card's extra facts without a plain name, of a file that is passed on."""
    facts = dict(extra)
    if not facts.get(SALT) and any(facts.get(key) for key in (SUBJECTS, CASES, CALIBRATED_ON)):
        own = _seen({key: value for key, value in facts.items() if key != CALIBRATED_ON}).disguised()
        facts |= own.to_dict()
        if facts.get(CALIBRATED_ON):
            facts[CALIBRATED_ON] = sorted(salted(name, own.salt) for name in _names(facts[CALIBRATED_ON]))
    if isinstance(facts.get(BEFORE), list):
        facts[BEFORE] = [_seen(part).disguised().to_dict() for part in facts[BEFORE] if isinstance(part, Mapping)]
    return facts
