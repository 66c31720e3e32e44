"""Who is tested, who trains in which fold, and the five settings of real and synthetic volumes (Fig. 12)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from datasets.case import Case
from datasets.splits import check_no_leak

FOLDS = 5
"""The folds of the paper."""

_HALVES = 2


@dataclass(frozen=True)
class Member:
    """A case that trains.

    Attributes:
        case: the real case.
        number: the number by which nnU-Net's files call the case and the synthetic volume of its mask.
        fold: the fold that the case, its subject and the synthetic volume of its mask validate.
        half: 0 or 1; settings with 50 % of something take it from one half.
    """

    case: Case
    number: int
    fold: int
    half: int

    @property
    def real(self) -> str:
        """The name of the real volume in nnU-Net's files; none ends with _0000, which is a channel there."""
        return f"real{self.number:04d}"

    @property
    def synthetic(self) -> str:
        """The name of the synthetic volume in nnU-Net's files."""
        return f"synthetic{self.number:04d}"


@dataclass(frozen=True)
class Division:
    """Cases apart: those that test never train, and neither do volumes made of their masks.

    Attributes:
        test: the held-out cases.
        training: all others.
    """

    test: tuple[Case, ...]
    training: tuple[Member, ...]

    @property
    def named_test(self) -> dict[str, Case]:
        """The held-out cases by their names in nnU-Net's files."""
        return {f"test{number:04d}": case for number, case in enumerate(self.test)}


@dataclass(frozen=True)
class Setting:
    """What one network of the figure is trained on.

    Attributes:
        key: the short name.
        label: the name in the table, with the paper's number.
        real: the halves whose real volumes train.
        synthetic: the halves whose synthetic volumes train.
    """

    key: str
    label: str
    real: tuple[int, ...]
    synthetic: tuple[int, ...]

    def members(self, division: Division, without: int) -> list[str]:
        """The names of all volumes that train when one fold is left out."""
        others = [member for member in division.training if member.fold != without]
        return [
            *(member.real for member in others if member.half in self.real),
            *(member.synthetic for member in others if member.half in self.synthetic),
        ]


SETTINGS = (
    Setting("synthetic", "(1) 100 % synthetic", (), (0, 1)),
    Setting("mixed", "(2) 50 % real + 50 % synthetic", (0,), (1,)),
    Setting("real", "(3) 100 % real", (0, 1), ()),
    Setting("half-added", "(4) 100 % real + 50 % synthetic", (0, 1), (0,)),
    Setting("all-added", "(5) 100 % real + 100 % synthetic", (0, 1), (0, 1)),
)
"""The five settings of the paper, section IV-F3."""

COMPARED = (("synthetic", "mixed"), ("synthetic", "real"), ("half-added", "real"), ("all-added", "real"))
"""The pairs of settings whose differences, the first less the second, are told as the paper's text tells them."""


def find_settings(asked: Sequence[str]) -> tuple[Setting, ...]:
    """Settings by their short names, in the paper's order; all of them where none is asked for.

    Raises:
        ValueError: there is no such setting.
    """
    known = {setting.key: setting for setting in SETTINGS}
    for name in asked:
        if name not in known:
            raise ValueError(f"`methods` {name}: no setting; there are {', '.join(known)}")
    return tuple(setting for setting in SETTINGS if not asked or setting.key in asked)


def divide(cases: Sequence[Case], folds: int = FOLDS) -> Division:
    """Hold out the cases of the split ``test``, and deal the subjects of the others into folds.

    Subjects are dealt in the order of a hash of their names, so that folds and halves are even, and the same
    everywhere. All cases of a subject lie in one fold and one half.

    Raises:
        ValueError: a subject in two splits, none held out, or too few subjects for two halves of each fold.
    """
    check_no_leak(cases)
    test = tuple(case for case in cases if case.split == "test")
    others = [case for case in cases if case.split != "test"]
    subjects = sorted({case.subject for case in others}, key=_place)
    if not test:
        raise ValueError("no case is in the split test; the networks are tested on that alone")
    if len(subjects) < folds * _HALVES:
        raise ValueError(
            f"{len(subjects)} subjects are not in the split test; {folds} folds with two halves each need "
            f"{folds * _HALVES} or more"
        )
    dealt = {subject: (rank % folds, rank // folds % _HALVES) for rank, subject in enumerate(subjects)}
    return Division(test, tuple(Member(case, number, *dealt[case.subject]) for number, case in enumerate(others)))


def splits(division: Division, setting: Setting, folds: int = FOLDS) -> list[dict[str, list[str]]]:
    """The content of nnU-Net's ``splits_final.json``.

    A synthetic volume never trains where the case of its mask validates. Validation is of real volumes in all
    settings; it is looked at by no one: networks are taken after their last epoch.
    """
    return [
        {
            "train": setting.members(division, fold),
            "val": [member.real for member in division.training if member.fold == fold],
        }
        for fold in range(folds)
    ]


def _place(subject: str) -> str:
    return hashlib.sha256(f"fold of {subject}".encode()).hexdigest()
