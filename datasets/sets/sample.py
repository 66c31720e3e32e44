"""The two shipped cases as a data set. They show how things work; nothing may be trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets import sample
from datasets.case import Case, Modality, of_split
from datasets.entry import Entry

_MODALITIES: dict[str, Modality] = {"ct": "CT", "mr": "MR"}


@dataclass(frozen=True)
class SampleSet:
    """The CT and the MR case, or the one of a modality; both are ``test``."""

    modality: Modality | None = None
    name: str = "sample"
    title: str = "shipped sample"

    @property
    def root(self) -> Path:
        """The folder of the package that holds the files."""
        return sample.path("ct").parent

    @property
    def has_splits(self) -> bool:
        """Both cases are there to be measured."""
        return False

    def cases(self, split: str | None = None) -> list[Case]:
        """The shipped cases; each one's source and licence is the detail ``description``."""
        found = [
            Case(name, name, modality, "volume", sample.path(name), "test", {"description": sample.DESCRIPTION[name]})
            for name, modality in _MODALITIES.items()
            if self.modality in (None, modality)
        ]
        return of_split(found, split)

    def expected(self) -> list[str]:
        """Nothing: what ships is there, or reading it says that it is not."""
        return []

    def remarks(self) -> list[str]:
        """Nothing."""
        return []


ENTRY = Entry(
    title="shipped sample",
    open=lambda given: SampleSet(given.modality),
    modality=None,
    about="sample: the CT and the MR case that ship with this package.",
    get="Nothing to get.",
    layout="Two NIfTI files in datasets/sample/.",
    terms="""\
CT: LIDC-IDRI-0001, The Cancer Imaging Archive, CC BY 3.0. MR: the ICBM152 2009a template, (C) McConnell Brain
Imaging Centre, free to use with its notice. datasets/sample/NOTICE holds the attributions to keep.""",
    splits="Both are test. They are for tests and demonstrations: never train on them what is then measured on them.",
    check="",
    needs_folder=False,
)
