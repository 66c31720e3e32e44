"""In which order a reader sees which volumes: practice, cases, repeats and the attention control."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["practice", "case", "repeat", "control"]

REPEATED_SHARE = 0.15
"""Share of the cases that a reader sees twice."""

_APART = 3
"""Places between a case and its repeat, as far as there are so many."""


@dataclass(frozen=True)
class Trial:
    """One screen of a reader.

    Attributes:
        kind: the purpose; only ``case`` and, for the agreement of a reader's two rankings, ``repeat`` are counted.
        set_index: the index of the set of volumes that is shown.
        order: the method behind each letter.
        broken: the method whose volume is broken on purpose; None where none is.
    """

    kind: Kind
    set_index: int
    order: tuple[str, ...]
    broken: str | None = None


def usual_repeats(cases: int) -> int:
    """The number of cases that are shown twice: about 15 %, at least one."""
    return max(1, round(REPEATED_SHARE * cases))


def generator_of(*parts: object) -> np.random.Generator:
    """A generator whose seed is the SHA-256 of some texts and numbers."""
    text = "\n".join(map(str, parts))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()))


def plan(methods: Sequence[str], cases: int, sets: int, repeats: int, salt: str, reader: str) -> list[Trial]:
    """The screens of one reader.

    Args:
        methods: the names of the methods, the real volumes among them.
        cases: the number of cases that are ranked: the sets 0 to ``cases - 1``.
        sets: the number of all sets; those beyond ``cases`` serve for practice and control, and where there are none,
            the last case does.
        repeats: the number of cases that are shown twice.
        salt: the text that every draw depends on beside the reader; who does not know it cannot repeat the draws.
        reader: the name of the reader.
    """
    generator = generator_of(salt, reader)
    order = [int(i) for i in generator.permutation(cases)]
    trials = [Trial("case", index, _shuffled(methods, generator)) for index in order]
    for index in generator.choice(cases, repeats, replace=False):
        place = next(i for i, trial in enumerate(trials) if trial.set_index == index)
        at = int(generator.integers(min(place + _APART, len(trials)), len(trials) + 1))
        trials.insert(at, Trial("repeat", int(index), _shuffled(methods, generator, trials[place].order)))
    broken = methods[int(generator.integers(len(methods)))]
    control = Trial("control", min(cases + 1, sets - 1), _shuffled(methods, generator), broken)
    trials.insert(int(generator.integers(len(trials) // 3, len(trials) + 1)), control)
    return [Trial("practice", min(cases, sets - 1), _shuffled(methods, generator)), *trials]


def _shuffled(
    methods: Sequence[str], generator: np.random.Generator, other: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """The methods in an order by chance, which is not ``other``."""
    while True:
        order = tuple(methods[i] for i in generator.permutation(len(methods)))
        if order != other:
            return order


def broken_volume(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A (z, y, x) volume whose eighths along each axis have changed places: anyone who looks ranks it last."""
    for axis in range(3):
        parts = np.array_split(image, min(8, image.shape[axis]), axis=axis)
        image = np.concatenate([parts[i] for i in generator.permutation(len(parts))], axis=axis)
    return image
