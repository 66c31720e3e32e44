"""Age and sex: what a network may be told of the person that a volume shows, besides the class of the anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Sex = Literal["female", "male"]
SEXES: tuple[Sex, ...] = get_args(Sex)
MOST_YEARS = 120.0
"""The highest age that can be asked for."""

OLDEST = 90.0
"""Ages above 89 are one group, 90: data that are passed on must not tell them apart (HIPAA, 45 CFR 164.514)."""


@dataclass(frozen=True)
class Patient:
    """Age and sex of the person that a volume shows, as far as they are known.

    Attributes:
        age: the age in years; None where it is unknown.
        sex: the sex; None where it is unknown.

    Raises:
        ValueError: an age outside of 0 to 120 years, or another sex.
    """

    age: float | None = None
    sex: Sex | None = None

    def __post_init__(self) -> None:
        if self.age is not None and not 0 <= self.age <= MOST_YEARS:
            raise ValueError(f"`age` {self.age:g}: must be from 0 to {MOST_YEARS:g} years")
        if self.sex is not None and self.sex not in SEXES:
            raise ValueError(f"`sex` {self.sex}: must be {' or '.join(SEXES)}")

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return self.age is not None or self.sex is not None


UNKNOWN = Patient()
"""A person of whom nothing is known."""


def refuse_patient(patient: Patient, method: str) -> None:
    """Refuse an age or a sex, for a method whose networks are told neither.

    Args:
        patient: what is asked for.
        method: the name of the method.

    Raises:
        ValueError: an age or a sex.
    """
    if patient.known:
        name = "sex" if patient.age is None else "age"
        asked = patient.sex if patient.age is None else f"{patient.age:g}"
        raise ValueError(f"`{name}` {asked}: {method} is not told age or sex; 3D MedDiffusion can be")


@dataclass(frozen=True)
class LearnedPatients:
    """The ages and sexes that a network learned.

    Attributes:
        ages: the lowest and the highest age in years; None where no age was known.
        sexes: the sexes that were known.
    """

    ages: tuple[float, float] | None = None
    sexes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For a card; :func:`priors.diffusion.learned.learned_patients` reads it."""
        return {"ages": list(self.ages) if self.ages else None, "sexes": list(self.sexes)}

    def check(self, patient: Patient) -> None:
        """Refuse an age or a sex where none was learned.

        Raises:
            ValueError: the message begins with the name of what was not learned, in backticks.
        """
        if patient.age is not None and self.ages is None:
            raise ValueError(f"`age` {patient.age:g}: this prior was told no ages in its training")
        if patient.sex is not None and patient.sex not in self.sexes:
            told = f"{self.sexes[0]} alone" if self.sexes else "no sex"
            raise ValueError(f"`sex` {patient.sex}: this prior was told {told} in its training")


NOBODY = LearnedPatients()
"""The patients of networks that learned no age and no sex."""
