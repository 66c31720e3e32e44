"""Classes that a training names itself, in place of those of the released networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from priors.diffusion.anatomy import ANATOMIES, CLASSES, Anatomy
from priors.weights.card import read_card
from recon.errors import InputError, input_errors
from recon.training.sources import TrainingVolume

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")


def check_names(classes: Sequence[str]) -> None:
    """Refuse names that could not be asked for.

    Raises:
        InputError: an empty or odd name, or one that stands twice.
    """
    for name in classes:
        if not _NAME.fullmatch(name):
            raise InputError(f"`classes` {name!r}: a name is wanted, of letters, digits, blanks, - . and _")
    if len({name.lower() for name in classes}) < len(classes):
        raise InputError(f"`classes` {', '.join(classes)}: each must have another name")


def check_own_classes(classes: Sequence[str], volumes: Sequence[TrainingVolume]) -> None:
    """Refuse classes without volumes.

    Raises:
        InputError: names those of which the training set has no volume.
    """
    counts = [sum(each.class_index == index for each in volumes) for index in range(len(classes))]
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if missing:
        raise InputError(f"`classes` {', '.join(missing)}: no volume for training is of this class")


def anatomies(classes: Sequence[str], volumes: Sequence[TrainingVolume]) -> tuple[Anatomy, ...]:
    """The classes of a training by their indices: its own, of the modality of its volumes, or those of the release."""
    if not classes:
        return CLASSES
    modality = volumes[0].volume.modality
    return tuple(Anatomy(index, name, modality, ()) for index, name in enumerate(classes))


def class_facts(classes: Sequence[Anatomy]) -> list[dict[str, Any]]:
    """What a card says of a training's own classes, in the order of their indices."""
    return [{"name": each.name, "modality": each.modality} for each in classes]


def own_class_names(path: Path) -> list[str]:
    """The classes that a weights file names as its own, in the order of their indices; none for those of the release.

    Raises:
        InputError: a damaged file.
    """
    with input_errors():
        listed = read_card(path).extra.get(ANATOMIES, [])
    try:
        return [str(each["name"]) for each in listed]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: its header is damaged: anatomies") from error


def check_released_classes(path: Path, parameter: str) -> None:
    """Refuse a noise estimator of its own classes where the classes are taken to be those of the released networks.

    Args:
        path: the weights file.
        parameter: the parameter that named it.

    Raises:
        InputError: such a file.
    """
    names = own_class_names(path)
    if names:
        raise InputError(
            f"`{parameter}` {path}: its classes are its own ({', '.join(names)}); this training needs a prior of the "
            "released networks' classes"
        )
