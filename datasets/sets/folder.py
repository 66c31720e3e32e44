"""A folder of one's own volumes: NIfTI files and DICOM series, wherever they lie below it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from datasets.case import SEGMENTATION, SERIES, SPLITS, Case, Modality, Split, of_split
from datasets.dicom_series import DicomSeries, find_series
from datasets.entry import Entry
from datasets.patients import PATIENTS_FILE, details_of, table_in
from datasets.splits import StatedSplits, check_no_leak, read_splits, split_by_hash
from datasets.walk import FolderListing, is_nifti_name, list_folder, without_suffix

SPLITS_FILE = "splits.json"

LABEL_MAP_ENDING = "_seg"
"""What the name of a label map has after that of its volume, where both lie in one folder."""


@dataclass(frozen=True)
class VolumeFolder:
    """All volumes below a folder; of one modality.

    The subject of a NIfTI file is its name without ``.nii.gz``, that of a DICOM series its PatientID (the folder's
    name where there is none), unless a pattern says otherwise. The split is by a JSON file, else by the first folder
    (``train``, ``val``, ``test``) where there are such, else by a hash of the subject.

    Attributes:
        root: the folder.
        modality: the modality of the NIfTI files; None if there are only DICOM series, which say it themselves.
        splits: JSON file with the splits; None for ``splits.json`` in the folder, if it is there.
        subject_pattern: regular expression, searched for in the case's relative path; its first group, or all that
            it matches, is the subject.
        segmentations: the folder with the label maps, each at its volume's relative path, with or without ``_seg`` at
            the end of its name; None for ``NAME_seg.nii.gz`` beside ``NAME.nii.gz``.
    """

    root: Path
    modality: Modality | None = None
    splits: Path | None = None
    subject_pattern: str | None = None
    segmentations: Path | None = None
    name: str = "folder"

    @property
    def title(self) -> str:
        """The folder's own name."""
        return f"folder {self.root.resolve().name}"

    @property
    def has_splits(self) -> bool:
        """Whether a JSON file or the names of folders state splits."""
        return self._splits_file is not None or self._in_split_folders

    def cases(self, split: str | None = None) -> list[Case]:
        """The cases; details: ``series``, the UID of a DICOM series, ``segmentation``, the path of a label map, and
        ``age`` and ``sex`` where a DICOM header or a table says them.

        Raises:
            ValueError: no such folder, nothing in it, no folder of label maps where one was named, mixed or unknown
                modality, a pattern that fits nothing, or splits or a table of patients that are wrong.
        """
        return of_split(self._split_cases[0], split)

    def expected(self) -> list[str]:
        """Nothing: nobody but its owner knows what it should hold."""
        return []

    def remarks(self) -> list[str]:
        """Files that are no volumes, DICOM folders without a CT or MR series, and cases that no split takes in."""
        empty = [
            f"{folder}: DICOM files, but no readable CT or MR series; passed over"
            for folder, held in self._series.items()
            if not held
        ]
        return [*_passed_over(self._listing.others), *empty, *self._split_cases[1]]

    @cached_property
    def _listing(self) -> FolderListing:
        if not self.root.is_dir():
            raise ValueError(f"{self.root}: {'a file' if self.root.exists() else 'no such folder'}; give a folder")
        return list_folder(self.root)

    @cached_property
    def _series(self) -> dict[Path, list[DicomSeries]]:
        return {folder: find_series(folder) for folder in self._listing.dicom}

    @cached_property
    def _all(self) -> list[Case]:
        """Every case, its split still to be decided."""
        series = [found for listed in self._series.values() for found in listed]
        if not (self._listing.nifti or series):
            raise ValueError(f"{self.root}: no NIfTI file (.nii, .nii.gz) and no CT or MR series of DICOM files in it")
        modality = self._one_modality(series)
        maps = set(self._label_maps.values())
        cases = [self._nifti_case(path, modality) for path in self._listing.nifti if path not in maps]
        cases += [self._dicom_case(found, modality, series) for found in series]
        cases = _unique(sorted(cases, key=lambda case: case.id))
        table = table_in(self.root)
        return table.told(cases, self.root) if table else cases

    @cached_property
    def _label_maps(self) -> dict[str, Path]:
        """The label maps by the relative name, without suffix, of the volume or DICOM folder that each belongs to."""
        if self.segmentations is None:
            names = {without_suffix(path.relative_to(self.root).as_posix()): path for path in self._listing.nifti}
            volumes = {*names, *(folder.relative_to(self.root).as_posix() for folder in self._series)}
            beside = {name: names.get(f"{name}{LABEL_MAP_ENDING}") for name in volumes}
            return {name: path for name, path in beside.items() if path is not None}
        if not self.segmentations.is_dir():
            raise ValueError(f"`segmentations` {self.segmentations}: no such folder")
        listed = list_folder(self.segmentations).nifti
        named = ((without_suffix(path.relative_to(self.segmentations).as_posix()), path) for path in listed)
        return {name.removesuffix(LABEL_MAP_ENDING): path for name, path in named}

    def _segmentation(self, name: str) -> dict[str, str]:
        """The label map among a case's details; nothing where there is none."""
        found = self._label_maps.get(name)
        return {SEGMENTATION: str(found)} if found else {}

    def _one_modality(self, series: list[DicomSeries]) -> Modality:
        stated = {found.modality for found in series} | ({self.modality} if self.modality else set())
        if len(stated) > 1:
            held = ", ".join(sorted({f"{found.modality} ({found.folder})" for found in series})[:4])
            said = f", and `modality` {self.modality} was given" if self.modality else ""
            raise ValueError(f"{self.root}: mixed modality: it holds {held}{said}; give each modality a folder")
        if not stated:
            raise ValueError(f"{self.root}: NIfTI files do not say what they are; give `modality` CT or `modality` MR")
        return stated.pop()

    def _nifti_case(self, path: Path, modality: Modality) -> Case:
        name = path.relative_to(self.root).as_posix()
        subject = self._subject(name, without_suffix(path.name))
        own = without_suffix(name)
        return Case(own, subject, modality, "volume", path, "train", self._segmentation(own))

    def _dicom_case(self, found: DicomSeries, modality: Modality, series: list[DicomSeries]) -> Case:
        name = found.folder.relative_to(self.root).as_posix()
        alone = sum(other.folder == found.folder for other in series) == 1
        identifier = name if alone else f"{name}/{found.uid}"
        subject = self._subject(identifier, found.patient or found.folder.resolve().name)
        details = {SERIES: found.uid} | details_of(found.age, found.sex)
        details |= self._segmentation(name) if alone else {}
        return Case(identifier, subject, modality, "volume", found.folder, "train", details)

    def _subject(self, name: str, default: str) -> str:
        if self.subject_pattern is None:
            return default
        try:
            match = re.search(self.subject_pattern, name)
        except re.error as error:
            raise ValueError(f"`subject` {self.subject_pattern!r}: not a regular expression ({error})") from error
        found = match and (match.group(1) if match.re.groups else match.group())
        if not found:
            raise ValueError(f"`subject` {self.subject_pattern!r}: finds no subject in {name!r}")
        return found

    @property
    def _splits_file(self) -> Path | None:
        """The JSON file with the splits; None if there is none."""
        if self.splits is not None:
            return self.splits
        own = self.root / SPLITS_FILE
        return own if own.is_file() else None

    @property
    def _in_split_folders(self) -> bool:
        return any(_first_folder(case) in SPLITS for case in self._all)

    @cached_property
    def _split_cases(self) -> tuple[list[Case], list[str]]:
        """The cases with their splits, and remarks on those that none takes in."""
        file = self._splits_file
        if file is not None:
            chosen, left = _by_file(self._all, read_splits(file), self.root)
            reason = f"not listed in {file.name}"
        elif self._in_split_folders:
            chosen, left = _by_folder(self._all)
            reason = "outside the folders train, val and test"
        else:
            chosen, left = [replace(case, split=split_by_hash(case.subject)) for case in self._all], []
            reason = ""
        check_no_leak(chosen)
        remarks = [f"cases left out, {reason}: {len(left)}, such as {left[0].id}"] if left else []
        return chosen, remarks + _few_subjects(chosen)


def _unique(cases: list[Case]) -> list[Case]:
    for first, second in pairwise(cases):
        if first.id == second.id:
            raise ValueError(f"{first.path} and {second.path} have one name; is one made from the other? remove it")
    return cases


def _by_file(cases: list[Case], stated: StatedSplits, root: Path) -> tuple[list[Case], list[Case]]:
    names = {case.id: _names(case, root) for case in cases}
    stated.check_known(name for listed in names.values() for name in listed)
    return _sorted_out([(case, stated.split_of(names[case.id])) for case in cases])


def _by_folder(cases: list[Case]) -> tuple[list[Case], list[Case]]:
    folders: dict[str, Split] = {split: split for split in SPLITS}
    return _sorted_out([(case, folders.get(_first_folder(case))) for case in cases])


def _sorted_out(splits: list[tuple[Case, Split | None]]) -> tuple[list[Case], list[Case]]:
    chosen = [replace(case, split=split) for case, split in splits if split is not None]
    return chosen, [case for case, split in splits if split is None]


def _names(case: Case, root: Path) -> list[str]:
    """What a JSON file may call a case: its id, its path below the folder, its subject."""
    return list(dict.fromkeys([case.id, case.path.relative_to(root).as_posix(), case.subject]))


def _first_folder(case: Case) -> str:
    """``train`` of ``train/a``; a file at the top has none."""
    first, separator, _ = case.id.partition("/")
    return first if separator else ""


def _few_subjects(cases: list[Case]) -> list[str]:
    if len(cases) < 2 or len({case.subject for case in cases}) > 1:
        return []
    return [f"all {len(cases)} cases are of one subject, {cases[0].subject!r}; `subject` tells people apart"]


def _passed_over(files: list[Path]) -> list[str]:
    known = (SPLITS_FILE, PATIENTS_FILE)
    others = [path.name for path in files if not is_nifti_name(path.name) and path.name not in known]
    shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
    return [f"files passed over, neither NIfTI nor DICOM: {len(others)} ({shown})"] if others else []


ENTRY = Entry(
    title="your own volumes",
    open=lambda given: VolumeFolder(given.folder, given.modality, given.splits, given.subject, given.segmentations),
    modality=None,
    about="folder: your own CT or MR volumes, NIfTI (.nii, .nii.gz) and DICOM series, in any folders below one.",
    get="You have it.",
    layout="""\
Every NIfTI file is a case, and so is every CT or MR series of a folder of DICOM files. A label map, from which
heads of the task mask learn, is no case: NAME_seg.nii.gz beside NAME.nii.gz, or NAME.nii.gz in another folder, which
'recon train' is told, in the same folders below it as its volume. Other label maps do not belong here.""",
    terms="Yours to know.",
    splits="""\
1. `splits` FILE, or splits.json in the folder: {"train": [...], "val": [...], "test": [...]}, each a list of
   relative paths or of subjects; what is not listed is left out.
2. Else by the first folder, where there are folders named train, val or test; what lies elsewhere is left out.
3. Else by a hash of the subject: about 70 % train, 10 % val, 20 % test.
A subject in two splits is an error.""",
    check="DIR `modality` CT",
    more={
        "Age and sex": """\
DICOM says them (PatientAge, PatientSex). For other files, and before those tags, patients.csv in the folder does:
a first line such as case,age,sex, then a line for each name of a case, file, folder or subject. Years; female, male,
F or M; nothing where it is not known. Ages above 89 are kept as 90.""",
        "Modality": "`modality` CT or MR; DICOM says it itself. One folder holds one modality.",
        "Subjects": """\
A NIfTI file's subject is its name without .nii.gz, a DICOM series' its PatientID. Where a person has several
files, `subject` REGEX finds the subject in the relative path, as in `subject` '(sub-[0-9]+)'.""",
    },
    takes_splits=True,
    names_people=True,
)
