"""What the card of a weights file says that its network learned from: classes with their voxel sizes, a size, and the
ages and sexes of people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from priors.diffusion.anatomy import Anatomy, Size
from priors.diffusion.prior import VoxelSize
from priors.networks.patient import NOBODY, SEXES, LearnedPatients

N = TypeVar("N", int, float)


def learned_of(path: Path, extra: Mapping[str, Any]) -> tuple[dict[str, VoxelSize], Size | None]:
    """What was learned, as a card says it; the released weights say nothing.

    Args:
        path: the path of the weights file; errors name it.
        extra: what its card says beside the configuration.

    Returns:
        The classes, each with the voxel size (z, x, y) in mm of its volumes, empty where the card does not say; and the
        size (z, x, y) in voxels of the volumes, None where the card does not say.

    Raises:
        ValueError: values that are no such classes or size.
    """
    try:
        classes = {str(name): _three(spacing, float) for name, spacing in extra.get("classes", {}).items()}
        return classes, _three(extra["size"], int) if "size" in extra else None
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: classes or size") from error


PATIENTS = "patients"
"""The key of a card's extra facts that holds :class:`priors.networks.patient.LearnedPatients`."""


def learned_patients(path: Path, extra: Mapping[str, Any]) -> LearnedPatients:
    """The ages and sexes that were learned, as a card says them.

    Args:
        path: the path of the weights file; errors name it.
        extra: what its card says beside the configuration.

    Raises:
        ValueError: values that are no such facts.
    """
    found = extra.get(PATIENTS)
    if found is None:
        return NOBODY
    try:
        ages, sexes = found["ages"], tuple(found["sexes"])
        if not set(sexes) <= set(SEXES):
            raise ValueError("another sex")
        if ages is None:
            return LearnedPatients(None, sexes)
        low, high = (float(age) for age in ages)
        return LearnedPatients((low, high), sexes)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: patients") from error


def _three(values: Any, kind: Callable[[Any], N]) -> tuple[N, N, N]:
    z, x, y = (kind(value) for value in values)
    return z, x, y


def check_learned(anatomy: Anatomy, classes: Mapping[str, VoxelSize]) -> None:
    """Refuse a class that is none of those that weights learned; weights that do not say take every class.

    Raises:
        ValueError: such a class; the message says which there are.
    """
    if classes and anatomy.name not in classes:
        raise ValueError(f"this prior learned {', '.join(classes)} alone")
