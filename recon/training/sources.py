"""The data that a training is given: one folder, or a YAML file that lists several, each with its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datasets import open_dataset
from datasets.cache import Cache
from priors.anatomy import CLASSES, find_class
from recon.errors import InputError, input_errors
from recon.training.prepared import Prepared, prepare
from recon.volume import Modality

_KEYS = {"dataset", "path", "modality", "class"}


@dataclass(frozen=True)
class DataPart:
    """One data set of a training.

    Attributes:
        dataset: its kind, such as ``folder`` or ``kits19``.
        path: where it lies; None for what ships with the suite.
        modality: CT or MR, where the kind does not say.
        class_name: of the anatomy, for BiFlowNet and ControlNet.
    """

    dataset: str
    path: Path | None
    modality: Modality | None = None
    class_name: str | None = None

    @property
    def class_index(self) -> int:
        """Index of the class; the modality's first chest-like one where none is named."""
        if self.class_name:
            return find_class(self.class_name).index
        wanted = "CTChestAbdomen" if self.modality != "MR" else "MRT1Brain"
        return find_class(wanted).index


@dataclass(frozen=True)
class TrainingVolume:
    """A prepared volume and its class."""

    volume: Prepared
    class_index: int


def parse_data(data: str, dataset: str, modality: str | None, class_name: str | None) -> list[DataPart]:
    """What ``--data`` names.

    Args:
        data: a folder, or a YAML file with a list of ``dataset``, ``path`` (relative to the file), ``modality``,
            ``class``.
        dataset, modality, class_name: of a folder.

    Raises:
        InputError: no such path, not such a list, or an unknown class.
    """
    path = Path(data)
    if path.suffix in (".yaml", ".yml"):
        parts = [_part(entry, path) for entry in _read_list(path)]
    else:
        parts = [_checked(DataPart(dataset, path if data else None, _modality(modality, "--modality"), class_name))]
    return parts


def _read_list(path: Path) -> list[Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--data {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, list) or not content:
        raise InputError(f"--data {path}: a list of data sets is wanted, each with dataset, path, modality, class")
    return content


def _part(entry: Any, file: Path) -> DataPart:
    if not isinstance(entry, Mapping) or not set(entry) <= _KEYS:
        raise InputError(f"--data {file}: {entry!r} is no data set; its keys may be {', '.join(sorted(_KEYS))}")
    path = file.parent / str(entry["path"]) if "path" in entry else None
    modality = _modality(entry.get("modality"), f"--data {file}: modality")
    return _checked(DataPart(str(entry.get("dataset", "folder")), path, modality, entry.get("class")))


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
    if part.path is not None and not part.path.exists():
        raise InputError(f"--data {part.path}: does not exist")
    if part.class_name:
        with input_errors("--class"):
            anatomy = find_class(part.class_name)
        if part.modality and anatomy.modality != part.modality:
            names = ", ".join(each.name for each in CLASSES if each.modality == part.modality)
            raise InputError(
                f"--class {part.class_name} is {anatomy.modality}, the data are {part.modality}; take {names}"
            )
    return part


def load_split(parts: list[DataPart], split: str, cache: Cache, report: Callable[[str], None]) -> list[TrainingVolume]:
    """The volumes of one split of all parts, prepared.

    Raises:
        InputError: nothing to train on, or too much of it unreadable.
    """
    found = []
    for part in parts:
        with input_errors(f"--data {part.path or part.dataset}"):
            dataset = open_dataset(part.dataset, part.path, modality=part.modality)
            cases = [case for case in dataset.cases(split) if case.kind == "volume"]
        if cases:
            volumes = prepare(cases, cache, report=report)
            found += [TrainingVolume(volume, part.class_index) for volume in volumes]
    if not found and split == "train":
        raise InputError(f"--data: no volume for training in {', '.join(str(p.path or p.dataset) for p in parts)}")
    return found
