"""fastMRI knee, single-coil (Zbontar et al., arXiv:1811.08839): one HDF5 file a volume, official folders as splits.

The official folders stay what they are: ``singlecoil_train`` trains, ``singlecoil_val`` is ``val``, ``singlecoil_test``
(or its second version) is ``test``. Test files are undersampled and hold no reference image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets.case import Case, Split, of_split
from datasets.entry import Entry

FOLDERS: Mapping[str, tuple[str, ...]] = {
    "train": ("singlecoil_train",),
    "val": ("singlecoil_val",),
    "test": ("singlecoil_test_v2", "singlecoil_test"),
}
"""The folder of each split; where two are named, the first that is there counts."""

OFFICIAL = {"train": 973, "val": 199}
"""Volumes with a reference: the 1172 of the 3D MedDiffusion paper."""

CONTRASTS = {"CORPD_FBK": "PD", "CORPDFS_FBK": "PDFS"}
"""The two acquisitions: proton density without and with fat suppression."""

_REFERENCE = "reconstruction_esc"


@dataclass(frozen=True)
class FastMRIKnee:
    """The volumes of the official folders; the subject is the file's ``patient_id``."""

    root: Path
    name: str = "fastmri"
    title: str = "fastMRI knee, single-coil"

    @property
    def has_splits(self) -> bool:
        """The official folders."""
        return True

    def cases(self, split: str | None = None) -> list[Case]:
        """The files; details: ``acquisition``, ``contrast`` (PD or PDFS), ``reference`` (yes or no).

        A file that cannot be opened is a case too, without details and its own subject: reading it says why.
        """
        return of_split(self._found, split)

    def expected(self) -> list[str]:
        """Training and validation folders that are missing or have fewer volumes than the official ones."""
        return [
            f"{FOLDERS[split][0]}: {len(self.cases(split))} of {count} volumes are there"
            for split, count in OFFICIAL.items()
            if len(self.cases(split)) < count
        ]

    def remarks(self) -> list[str]:
        """Which of two versions of the test folder was taken."""
        newer, older = FOLDERS["test"]
        both = (self.root / newer).is_dir() and (self.root / older).is_dir()
        return [f"test is {newer}; {older}, the earlier version of it, was passed over"] if both else []

    @cached_property
    def _folders(self) -> dict[str, Path]:
        present = {
            split: next((self.root / name for name in names if (self.root / name).is_dir()), None)
            for split, names in FOLDERS.items()
        }
        return {split: folder for split, folder in present.items() if folder}

    @cached_property
    def _found(self) -> list[Case]:
        if not self.root.is_dir():
            raise ValueError(f"{self.root}: no such folder")
        if not self._folders:
            raise ValueError(f"{self.root}: no folder singlecoil_train, singlecoil_val or singlecoil_test in it")
        cases = [
            _case(path, split)
            for split in ("train", "val", "test")
            if split in self._folders
            for path in sorted(self._folders[split].glob("*.h5"))
            if path.is_file()  # opening a pipe would wait for ever
        ]
        return sorted(cases, key=lambda case: case.id)


def _case(path: Path, split: Split) -> Case:
    subject, details = _header(path)
    return Case(f"{path.parent.name}/{path.stem}", subject, "MR", "kspace", path, split, details)


def _header(path: Path) -> tuple[str, dict[str, str]]:
    """Subject and details of a file, without its arrays."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            acquisition = _text(file.attrs.get("acquisition", ""))
            details = {"acquisition": acquisition, "contrast": CONTRASTS.get(acquisition, "")}
            details = {name: value for name, value in details.items() if value}
            details["reference"] = "yes" if isinstance(file.get(_REFERENCE, getlink=True), h5py.HardLink) else "no"
            return _text(file.attrs.get("patient_id", path.stem)), details
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):  # h5py's ways to say that it is damaged
        return path.stem, {}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


ENTRY = Entry(
    title="fastMRI knee",
    open=lambda given: FastMRIKnee(given.folder),
    modality="MR",
    about="fastMRI knee, single-coil: raw k-space of 973 + 199 volumes with references, and 108 test volumes without; "
    "about 90 GB.",
    get="""\
Apply at https://fastmri.med.nyu.edu; NYU Langone sends links to knee_singlecoil_train, _val and _test. Unpack them
side by side.""",
    layout="""\
singlecoil_train/*.h5, singlecoil_val/*.h5, singlecoil_test/*.h5 (or singlecoil_test_v2); give the folder above.""",
    terms="""\
NYU's data sharing agreement, accepted by each person who applies: internal research or education, no
redistribution, no attempt to identify anyone, and the acknowledgement and citations it asks for:
F. Knoll et al., Radiology: Artificial Intelligence 2(1) e190007 (2020); J. Zbontar et al., arXiv:1811.08839.
Read the agreement you accept: it decides, not this text.""",
    splits="The official folders. PD (CORPD_FBK) and PDFS (CORPDFS_FBK) are reported separately.",
    check="DIR",
)
