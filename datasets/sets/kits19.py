"""KiTS19, the 2019 Kidney and Kidney Tumor Segmentation Challenge (Heller et al., arXiv:1904.00445).

The layout of https://github.com/neheller/kits19 after its download script: ``case_00000`` to ``case_00209``, each with
``imaging.nii.gz`` and ``segmentation.nii.gz``. Volumes are stored slices first, (slices, 512, 512), from superior to
inferior, with the affine ``[[0, 0, -sx, 0], [0, -sy, 0, 0], [-sz, 0, 0, 0], [0, 0, 0, 1]]``; readers go by the affine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from datasets.case import SEGMENTATION, Case, of_split
from datasets.entry import Entry
from datasets.splits import split_by_hash

RELEASED = 210
"""Cases with a segmentation; the 3D MedDiffusion paper's figures are on these."""

CHALLENGE_TEST = range(RELEASED, 300)
"""The challenge's test cases: images alone. They are no part of the protocol and are passed over."""

ORIENTATION = "IPL"
"""Directions in which the stored array's axes grow, as every official file states them."""


@dataclass(frozen=True)
class KiTS19:
    """The 210 released cases; each is one patient, its split is by a hash of the case's name."""

    root: Path
    name: str = "kits19"
    title: str = "KiTS19"

    @property
    def has_splits(self) -> bool:
        """The rule of the set: by a hash of the official names."""
        return True

    def cases(self, split: str | None = None) -> list[Case]:
        """The cases whose image is there, with the path of the segmentation among the details where it is too."""
        return of_split(self._found, split)

    def expected(self) -> list[str]:
        """The official cases without an image here."""
        present = {case.id for case in self._found}
        return [f"{name}/imaging.nii.gz" for name in map(case_name, range(RELEASED)) if name not in present]

    def remarks(self) -> list[str]:
        """Cases without a segmentation, which reconstruction does not need, and those of the challenge's test."""
        remarks = []
        without = [case.id for case in self._found if SEGMENTATION not in case.details]
        if without:
            remarks.append(f"cases without a segmentation: {len(without)}, such as {without[0]}")
        beyond = [name for name in map(case_name, CHALLENGE_TEST) if (self._data / name).is_dir()]
        if beyond:
            remarks.append(f"the challenge's own test cases, passed over (the protocol has 210): {len(beyond)}")
        return remarks

    @cached_property
    def _data(self) -> Path:
        """The folder of the cases: the one given, or ``data`` in it (a clone of the official repository)."""
        inside = self.root / "data"
        return inside if not any(self.root.glob("case_*")) and inside.is_dir() else self.root

    @cached_property
    def _found(self) -> list[Case]:
        if not self.root.is_dir():
            raise ValueError(f"{self.root}: no such folder")
        if not any(self._data.glob("case_*")):
            raise ValueError(f"{self.root}: no folder case_00000, case_00001, … in it: not KiTS19's layout")
        folders = (self._data / case_name(index) for index in range(RELEASED))
        return [_case(folder) for folder in folders if (folder / "imaging.nii.gz").is_file()]


def case_name(index: int) -> str:
    """The official name, such as ``case_00042``."""
    return f"case_{index:05d}"


def _case(folder: Path) -> Case:
    segmentation = folder / "segmentation.nii.gz"
    details = {SEGMENTATION: str(segmentation)} if segmentation.is_file() else {}
    name = folder.name
    return Case(name, name, "CT", "volume", folder / "imaging.nii.gz", split_by_hash(name), details)


def is_official(case: Case) -> bool:
    """Whether a case carries an official name and file name."""
    return case.path.name == "imaging.nii.gz" and case.id in map(case_name, range(RELEASED))


ENTRY = Entry(
    title="KiTS19",
    open=lambda given: KiTS19(given.folder),
    modality="CT",
    about="KiTS19: contrast-enhanced abdominal CT of 210 patients before kidney surgery, with segmentations; tens of "
    "GB.",
    get="""\
git clone https://github.com/neheller/kits19
cd kits19 && pip install -r requirements.txt && python -m starter_code.get_imaging""",
    layout="""\
kits19/data/case_00000/imaging.nii.gz, segmentation.nii.gz … case_00209; give kits19/data (or kits19).""",
    terms="""\
CC BY-NC-SA 4.0: not for commercial use, what is derived from it is shared alike, and it is cited:
N. Heller et al., "The KiTS19 challenge data", arXiv:1904.00445, and "The state of the art in kidney and kidney
tumor segmentation in contrast-enhanced CT imaging", Medical Image Analysis 67 (2021).
Take weights trained on it to be under the same terms unless you know better.""",
    splits="""\
By a hash of the case's name: about 70 % train, 10 % val, 20 % test; the same everywhere. The 3D MedDiffusion paper
names none for reconstruction.""",
    check="kits19/data",
)
