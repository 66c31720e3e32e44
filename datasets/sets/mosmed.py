"""MosMedData (COVID19_1110), chest CT with and without findings related to COVID-19 (Morozov et al., arXiv:2005.06465).

Folders ``CT-0`` to ``CT-4`` hold one NIfTI file a study, ``study_0001.nii.gz`` to ``study_1110.nii.gz``, numbered from
one folder to the next. CT-0 has no findings; CT-1 to CT-4 have, from less than a quarter of the lung to more than
three quarters. Names and numbers are those of the published copies as far as they are known here; what a copy has
otherwise is read all the same, and :meth:`MosMed.remarks` says it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

from datasets.case import CLASS, SEGMENTATION, Case, Split, of_split
from datasets.entry import Entry
from datasets.splits import split_by_hash
from datasets.walk import is_nifti_name, without_suffix

GRADES: Mapping[str, int] = MappingProxyType({"CT-0": 254, "CT-1": 684, "CT-2": 125, "CT-3": 45, "CT-4": 2})
"""Studies in each folder of the complete set."""

STUDIES = sum(GRADES.values())
NORMAL = "CT-0"
"""The folder of the studies without findings."""

TEST_OF_A_CLASS = 60
"""Test studies of each class: 120 in all, as in the 3D MedDiffusion paper."""

VALIDATION = 290
"""Validation studies; 700 are left for training."""

_INSIDE = (".", "studies", "COVID19_1110/studies", "COVID19_1110")
"""Where the folders of the grades may be, as seen from the folder that is given."""


@dataclass(frozen=True)
class MosMed:
    """The studies; each is of one person, its class follows from its folder, its split from its official number."""

    root: Path
    name: str = "mosmed"
    title: str = "MosMedData"

    @property
    def has_splits(self) -> bool:
        """The rule of the set, by the official names."""
        return True

    def cases(self, split: str | None = None) -> list[Case]:
        """The studies; details: ``class`` (normal or abnormal), ``grade``, and ``segmentation`` where there is one.

        Raises:
            ValueError: no such folder, or another layout.
        """
        return of_split(self._found, split)

    def expected(self) -> list[str]:
        """The official studies that are not here."""
        present = {case.id for case in self._found}
        return [f"{official_grade(name)}/{name}.nii.gz" for name in official_names() if name not in present]

    def remarks(self) -> list[str]:
        """What was found, and what is otherwise than in the published copies."""
        cases = self._found
        grades = {grade: sum(case.details["grade"] == grade for case in cases) for grade in GRADES}
        found = ", ".join(f"{count} in {grade}" for grade, count in grades.items())
        remarks = [f"found: {found}; official: {', '.join(map(str, GRADES.values()))}"]
        moved = [case.id for case in cases if official_grade(case.id) not in (None, case.details["grade"])]
        if moved:
            remarks.append(
                f"studies in another folder than their number says: {len(moved)}, such as {moved[0]}; the folder "
                "decides the class, so the test split may not be balanced"
            )
        unknown = [case.id for case in cases if official_grade(case.id) is None]
        if unknown:
            remarks.append(f"names that are not official, split by a hash: {len(unknown)}, such as {unknown[0]}")
        return remarks

    @cached_property
    def _folder(self) -> Path:
        """The folder that holds ``CT-0`` to ``CT-4``."""
        if not self.root.is_dir():
            raise ValueError(f"{self.root}: no such folder")
        for inside in _INSIDE:
            if any((self.root / inside / grade).is_dir() for grade in GRADES):
                return self.root / inside
        raise ValueError(f"{self.root}: no folder CT-0, CT-1, … in it: not MosMedData's layout")

    @cached_property
    def _found(self) -> list[Case]:
        cases = [
            _case(path, grade)
            for grade in GRADES
            for path in sorted((self._folder / grade).glob("*"))
            if is_nifti_name(path.name) and path.is_file() and not path.name.startswith(".")
        ]
        if not cases:
            raise ValueError(f"{self._folder}: no NIfTI file in CT-0 to CT-4")
        cases.sort(key=lambda case: case.id)
        for first, second in itertools.pairwise(cases):
            if first.id == second.id:
                raise ValueError(f"{first.path} and {second.path} have one name; remove the one that is a copy")
        return cases


def _case(path: Path, grade: str) -> Case:
    name = without_suffix(path.name)
    details = {CLASS: "normal" if grade == NORMAL else "abnormal", "grade": grade}
    masks = (path.parent.parent.parent / "masks" / f"{name}_mask{suffix}" for suffix in (".nii.gz", ".nii"))
    mask = next((each for each in masks if each.is_file()), None)
    if mask is not None:
        details[SEGMENTATION] = str(mask)
    return Case(name, name, "CT", "volume", path, study_split(name), details)


def official_names() -> list[str]:
    """``study_0001`` to ``study_1110``."""
    return [f"study_{number:04d}" for number in range(1, STUDIES + 1)]


def official_grade(name: str) -> str | None:
    """The folder that a study's number belongs to; None for a name that is not official."""
    number = name.removeprefix("study_")
    if name == number or len(number) != 4 or not number.isdecimal():
        return None
    last = 0
    for grade, count in GRADES.items():
        last += count
        if 1 <= int(number) <= last:
            return grade
    return None


def study_split(name: str) -> Split:
    """The split of a study: 700 train, 290 val, 120 test with 60 of each class; of another name, by its hash."""
    return _official_splits().get(name) or split_by_hash(name)


@lru_cache(maxsize=1)
def _official_splits() -> Mapping[str, Split]:
    """By the order of the SHA-256 of the official names, which no copy and no machine changes."""
    order = sorted(official_names(), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    normal = [name for name in order if official_grade(name) == NORMAL]
    abnormal = [name for name in order if official_grade(name) != NORMAL]
    test = {*normal[:TEST_OF_A_CLASS], *abnormal[:TEST_OF_A_CLASS]}
    val = set([name for name in order if name not in test][:VALIDATION])
    return {name: "test" if name in test else "val" if name in val else "train" for name in order}


ENTRY = Entry(
    title="MosMedData",
    open=lambda given: MosMed(given.folder),
    modality="CT",
    about="MosMedData (COVID19_1110): chest CT of 1,110 people in Moscow in spring 2020, 254 without and 856 with "
    "findings related to COVID-19; about 33 GB unpacked. Only some slices of each study were published, so that they "
    "lie far apart.",
    get="Ask for it at https://mosmed.ai/datasets/covid19_1110, and unpack the archive.",
    layout="""\
COVID19_1110/studies/CT-0/study_0001.nii.gz … CT-4/study_1110.nii.gz; give this folder, studies, or the one above.
COVID19_1110/masks/study_0255_mask.nii.gz …: outlines of the opacities of some.
Files .nii are taken too. 'benchmarks data check' says what a copy has otherwise.""",
    terms="""\
CC BY-NC-ND 3.0: not for commercial use, nothing derived from it is passed on, and it is cited:
S. P. Morozov et al., "MosMedData: chest CT scans with COVID-19 related findings dataset", arXiv:2005.06465.
Keep weights and volumes made from it to yourself unless you know better.""",
    splits="""\
700 train, 290 val and 120 test studies, of which 60 are without findings and 60 with, by the order of a hash of the
official names; the same everywhere. The 3D MedDiffusion paper has as many test studies and does not name them.""",
    check="COVID19_1110",
)
