"""The data that a training is given: one folder, or a YAML file that lists several, each with its class."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets import find_entry, open_dataset
from datasets.cache import Cache
from datasets.case import AGE, CLASS, GENERATED, SEX, SPLITS, Case
from datasets.identity import content_sha256
from datasets.manifest import Manifest, read_manifest
from datasets.patients import PatientTable, details_of, read_patients, stated_age, stated_sex
from priors.diffusion.anatomy import CLASSES, find_class
from priors.networks.patient import SEXES, Patient
from priors.training.plain_yaml import read_yaml_file
from recon.errors import InputError, input_errors
from recon.io.cases import read_case
from recon.learned.mask_task import MaskTask
from recon.learned.task import Task
from recon.scan.volume import Modality
from recon.training.prepared import Prepared, prepare

_MOST_REPEATS = 1000
_KEYS = {"dataset", "path", "modality", "class", "manifest", "repeat", "segmentations", "patients", "age", "sex"}


@dataclass(frozen=True)
class DataPart:
    """One data set of a training.

    Attributes:
        dataset: its kind, such as ``folder`` or ``kits19``.
        path: the path of the data set; None for what ships with the suite.
        modality: CT or MR, where the kind does not say.
        class_name: the name of the anatomy's class, for BiFlowNet and ControlNet.
        manifest: the manifest as ``benchmarks data check`` wrote it; the data are compared with it, and results name
            its hash.
        repeat: how often each of its training volumes counts in an epoch.
        segmentations: the folder of the label maps of a data set ``folder``; None for those beside its volumes.
        own_classes: the classes that the training names itself, in the order of their indices; none where the classes
            are those of the released networks.
        splits: the splits whose cases the training uses.
        patients: the table of ages and sexes of its people; None without one.
        patient: the age and sex of all its cases, as their details have them; empty where they are not stated.
    """

    dataset: str
    path: Path | None
    modality: Modality | None = None
    class_name: str | None = None
    manifest: Manifest | None = None
    repeat: int = 1
    segmentations: Path | None = None
    own_classes: tuple[str, ...] = ()
    splits: tuple[str, ...] = SPLITS
    patients: PatientTable | None = None
    patient: Mapping[str, str] = field(default_factory=dict, hash=False)

    def facts(self) -> dict[str, str]:
        """What a weights file says of its data; the name of a folder of one's own may be a person's and is left out."""
        own = self.path is not None and find_entry(self.dataset.partition(":")[0]).names_people
        name = {"name": self.path.resolve().name if self.path and not own else self.dataset}
        return name | ({"manifest_sha256": self.manifest.sha256} if self.manifest else {})

    @property
    def known_modality(self) -> Modality | None:
        """As given, or that of the data set or of the class; None where none says it."""
        own = self.modality or find_entry(self.dataset.partition(":")[0]).modality
        released = self.class_name and not self.own_classes
        return own or (find_class(str(self.class_name)).modality if released else None)

    @property
    def class_index(self) -> int:
        """Index of the class; the modality's first chest-like one where none is named."""
        if self.class_name:
            return find_class(self.class_name).index
        wanted = "CTChestAbdomen" if self.known_modality != "MR" else "MRT1Brain"
        return find_class(wanted).index

    def told(self, cases: list[Case]) -> list[Case]:
        """Cases with the ages and sexes that the list of data states, which go before those of their files.

        Raises:
            ValueError: a table that knows none of the cases.
        """
        found = [replace(case, details={**case.details, **self.patient}) for case in cases] if self.patient else cases
        return self.patients.told(found, self.path or Path()) if self.patients else found

    def class_of(self, case: Case) -> int:
        """Index of a case's class: that of the part, or of the training's own classes the one that the case names.

        Raises:
            InputError: a case of no class, or of one that the training does not name.
        """
        if not self.own_classes:
            return self.class_index
        where, known = f"`data` {self.path or self.dataset}", ", ".join(self.own_classes)
        name = self.class_name or case.details.get(CLASS)
        if name is None:
            raise InputError(
                f"{where}: it does not say the class of {case.id}; give each part its class in a YAML list"
            )
        if name not in self.own_classes:
            raise InputError(f"{where}: {case.id} is {name}, which is none of the `classes` {known}")
        return self.own_classes.index(name)


@dataclass(frozen=True)
class TrainingVolume:
    """A prepared volume and its class."""

    volume: Prepared
    class_index: int

    @property
    def patient(self) -> Patient:
        """Age and sex of its person, as far as the data say them."""
        age, sex = (self.volume.case.details.get(name) for name in (AGE, SEX))
        return Patient(None if age is None else float(age), next((each for each in SEXES if each == sex), None))


def parse_data(
    data: str,
    dataset: str,
    modality: str | None,
    class_name: str | None,
    manifest: Path | None = None,
    segmentations: Path | None = None,
    classes: tuple[str, ...] = (),
) -> list[DataPart]:
    """What `data` names.

    Args:
        data: a folder, or a YAML file with a list of ``dataset``, ``path`` (relative to the file), ``modality``,
            ``class``, ``manifest``, ``repeat``, ``segmentations`` (a folder, relative to the file), ``patients`` (a
            table, relative to the file; see :func:`datasets.patients.read_patients`), and ``age`` and ``sex`` of all
            its cases.
        dataset, modality, class_name, manifest, segmentations: the facts of a folder that is no YAML list.
        classes: the classes that the training names itself; none for those of the released networks.

    Raises:
        InputError: no such path, not such a list, or an unknown class.
    """
    path = Path(data)
    if path.suffix in (".yaml", ".yml"):
        parts = [_part(entry, path) for entry in _read_list(path)]
    else:
        kind = _modality(modality, "`modality`")
        parts = [
            DataPart(
                dataset, path if data else None, kind, class_name, _manifest(manifest), segmentations=segmentations
            )
        ]
    return [_checked(replace(part, own_classes=classes)) for part in parts]


def _read_list(path: Path) -> list[Any]:
    try:
        content = read_yaml_file(path)
    except (OSError, ValueError) as error:
        raise InputError(f"`data` {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, list) or not content:
        raise InputError(f"`data` {path}: a list of data sets is wanted, each with dataset, path, modality, class")
    return content


def _part(entry: Any, file: Path) -> DataPart:
    if not isinstance(entry, Mapping) or not set(entry) <= _KEYS:
        raise InputError(
            f"`data` {file}: {reprlib.repr(entry)} is no data set; its keys may be {', '.join(sorted(_KEYS))}"
        )
    path = file.parent / str(entry["path"]) if "path" in entry else None
    modality = _modality(entry.get("modality"), f"`data` {file}: modality")
    manifest = _manifest(file.parent / str(entry["manifest"]) if "manifest" in entry else None)
    repeat = entry.get("repeat", 1)
    if type(repeat) is not int or not 1 <= repeat <= _MOST_REPEATS:
        raise InputError(
            f"`data` {file}: repeat {reprlib.repr(repeat)}; a whole number from 1 to {_MOST_REPEATS} is wanted"
        )
    kind = str(entry.get("dataset", "folder"))
    segmentations = file.parent / str(entry["segmentations"]) if "segmentations" in entry else None
    patients = _patients(file.parent / str(entry["patients"]) if "patients" in entry else None)
    patient = _patient(entry, f"`data` {file}")
    return DataPart(
        kind,
        path,
        modality,
        entry.get("class"),
        manifest,
        repeat,
        segmentations,
        patients=patients,
        patient=patient,
    )


def _patients(path: Path | None) -> PatientTable | None:
    with input_errors("`data`: patients"):
        return read_patients(path) if path else None


def _patient(entry: Mapping[str, Any], subject: str) -> dict[str, str]:
    with input_errors(subject):
        return details_of(stated_age(str(entry.get("age", ""))), stated_sex(str(entry.get("sex", ""))))


def _manifest(path: Path | None) -> Manifest | None:
    with input_errors("`manifest`"):
        return read_manifest(path) if path else None


def _modality(value: Any, subject: str) -> Modality | None:
    if value is None:
        return None
    text = str(value).upper()
    if text == "CT":
        return "CT"
    if text == "MR":
        return "MR"
    raise InputError(f"{subject} {value}: CT or MR")


def _checked(part: DataPart) -> DataPart:
    with input_errors("`dataset`"):
        find_entry(part.dataset.partition(":")[0])
    if part.path is not None and not part.path.exists():
        raise InputError(f"`data` {part.path}: does not exist")
    if part.class_name and part.own_classes:
        if part.class_name not in part.own_classes:
            raise InputError(f"`class` {part.class_name}: none of the `classes` {', '.join(part.own_classes)}")
    elif part.class_name:
        with input_errors("`class`"):
            anatomy = find_class(part.class_name)
        if part.known_modality != anatomy.modality:
            names = ", ".join(each.name for each in CLASSES if each.modality == part.known_modality)
            raise InputError(
                f"`class` {part.class_name} is {anatomy.modality}, the data are {part.known_modality}; take {names}"
            )
    return part


def parts_for(parts: list[DataPart], task: Task | MaskTask | None) -> list[DataPart]:
    """Those of the task's modality, so that one list of CT and MR data serves every training.

    All of them without a task, or where none is of its modality; the training then says what is wrong.
    """
    own = [part for part in parts if task is None or part.known_modality in (None, task.modality)]
    return own or parts


def load_split(
    parts: list[DataPart], split: str, cache: Cache, announce: Callable[[str], None]
) -> list[TrainingVolume]:
    """The volumes of one split of all parts, prepared.

    Raises:
        InputError: nothing to train on, or too much of it unreadable.
    """
    found = []
    for part in parts:
        with input_errors(f"`data` {part.path or part.dataset}"):
            dataset = open_dataset(part.dataset, part.path, modality=part.modality, segmentations=part.segmentations)
            cases = part.told(dataset.cases(split)) if split in part.splits else []
            if part.manifest:
                _compare(cases, part.manifest)
        for case in cases:
            part.class_of(case)  # what is wrong is said before any work
        if cases:
            volumes = prepare(cases, cache, announce=announce)
            counts = part.repeat if split == "train" else 1
            found += [TrainingVolume(volume, part.class_of(volume.case)) for volume in volumes] * counts
    if not found and split == "train":
        raise InputError(f"`data`: no volume for training in {', '.join(str(p.path or p.dataset) for p in parts)}")
    return found


def _compare(cases: list[Case], manifest: Manifest) -> None:
    """``ValueError`` where the content of a case is not in the manifest, or stands there in another split."""
    splits: dict[str, set[str]] = {}
    for row in manifest.rows:
        splits.setdefault(row.sha256, set()).add(row.split)
    for case in cases:
        stated = splits.get(_as_in_manifests(case), set())
        if case.split not in stated:
            what = f"its content is in the split {min(stated)}" if stated else "its content is not in it"
            raise ValueError(
                f"case {case.id} is not as the manifest says: {what}; check the data anew with 'benchmarks data check'"
            )


def _as_in_manifests(case: Case) -> str:
    """The hash that a manifest has of a case: of its file, of a generated one its voxels."""
    if GENERATED not in case.details:
        return content_sha256(case)
    found = read_case(case)
    return hashlib.sha256(np.ascontiguousarray(found.data.numpy()).data).hexdigest()
