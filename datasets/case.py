"""What every data set gives: cases, each of one subject, each in one split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Modality = Literal["CT", "MR"]
Kind = Literal["volume", "kspace"]
Split = Literal["train", "val", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")

GENERATED = "generator"
"""The detail of a case that is computed when it is read: which generator makes it."""

SEGMENTATION = "segmentation"
"""The detail of a case that has a label map on a file: its path. Generated cases have computed ones."""

CLASS = "class"
"""The detail of a case whose class is known, such as normal or abnormal."""

AGE = "age"
"""The detail of a case whose person's age is known: years, at most 90; see :mod:`datasets.patients`."""

SEX = "sex"
"""The detail of a case whose person's sex is known: female or male."""

SERIES = "series"
"""The detail of a case that is one DICOM series of a folder: its SeriesInstanceUID."""


@dataclass(frozen=True)
class Case:
    """One volume, or the k-space of one.

    Attributes:
        id: unique within the data set, the same on every machine.
        subject: the person (or generated anatomy); one subject is never in two splits.
        modality: ``"CT"`` or ``"MR"``.
        kind: ``"volume"`` or ``"kspace"``.
        path: the file, or the folder of a DICOM series. A generated case has a name here and no file.
        split: ``"train"``, ``"val"`` or ``"test"``.
        details: what else is known of it, as text (``acquisition``, ``segmentation``, ``series``, …).
    """

    id: str
    subject: str
    modality: Modality
    kind: Kind
    path: Path
    split: Split
    details: Mapping[str, str] = field(default_factory=dict, hash=False)


class DataSet(Protocol):
    """A collection of cases, found but not read."""

    @property
    def name(self) -> str:
        """Its short name, by which :func:`datasets.open_dataset` knows it."""

    @property
    def title(self) -> str:
        """What outputs call it."""

    @property
    def root(self) -> Path | None:
        """The folder that holds it; None for one that is generated."""

    @property
    def has_splits(self) -> bool:
        """Whether it has splits that measurements must keep to; False where a hash of names stands in for them."""

    def cases(self, split: str | None = None) -> list[Case]:
        """Its cases in the order of their ids, all or those of one split.

        Raises:
            ValueError: there is no such split.
        """

    def expected(self) -> list[str]:
        """What a complete copy has and this one lacks, one line each."""

    def remarks(self) -> list[str]:
        """What lies in the folder and is no case, or was decided on the way, one line each."""


def of_split(cases: list[Case], split: str | None) -> list[Case]:
    """The cases of one split, or all of them for None.

    Raises:
        ValueError: there is no such split.
    """
    if split is None:
        return list(cases)
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: there are {', '.join(SPLITS)}")
    return [case for case in cases if case.split == split]
