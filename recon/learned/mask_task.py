"""What a head for segmentations was trained for, as a value: the labels that it knows, and how it is shown them.

It stands in a weights file where heads for measurements have a :class:`recon.learned.task.Task`. Such a head measures
nothing and reconstructs nothing: it steers a prior towards new volumes in which the labels' structures lie where a
segmentation has them (specified after 3D MedDiffusion, section IV-G; MAISI, section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from recon.errors import InputError

if TYPE_CHECKING:
    from recon.scan.volume import Modality

CARD_NAME = "mask"
"""The name of the task in weights files."""

GENERATES = "a head of the task mask generates volumes for segmentations and reconstructs nothing"

Pooling = Literal["fractions", "subvoxels", "paper"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)

LARGEST_LABEL = 255

BODY = 255
"""The number of the body in segmentations: one that no data set gives a label of its own."""

_KEYS = {"task", "labels", "body", "pooling", "modality"}


@dataclass(frozen=True)
class MaskTask:
    """The task of a head that is shown a segmentation.

    Attributes:
        labels: the names of the labels by their numbers in segmentations; 0 is background.
        body: the number that the rest of the body has in segmentations; None where the head is not told the body's
            outline.
        pooling: the way in which labels come to the latent's grid: ``fractions``, the share of each label in a latent
            voxel; ``subvoxels``, all voxels of each label as channels; ``paper``, grey values through the prior's
            autoencoder.

    Raises:
        ValueError: no label, a number or a name that cannot be one, two labels of one name, or an unknown pooling.
    """

    labels: Mapping[int, str] = field(hash=False)
    body: int | None = None
    pooling: Pooling = "fractions"

    modality: Modality = field(default="CT", init=False)

    def __post_init__(self) -> None:
        numbers = [*self.labels, *([self.body] if self.body is not None else [])]
        if not self.labels:
            raise ValueError("no label; name one at least, such as 1=kidney")
        if wrong := [n for n in numbers if type(n) is not int or not 1 <= n <= LARGEST_LABEL]:
            raise ValueError(f"label {wrong[0]!r}: a whole number from 1 to {LARGEST_LABEL} is wanted")
        if self.body is not None and self.body in self.labels:
            raise ValueError(f"label {self.body}: it is {self.labels[self.body]}, and cannot be the body too")
        names = list(self.labels.values())
        if twice := [name for name in names if not str(name).strip() or names.count(name) > 1]:
            raise ValueError(f"label name {twice[0]!r}: each label has a name of its own")
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling {self.pooling!r}: one of {', '.join(POOLINGS)}")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of all classes in segmentations: background, the body where it is told, the labels."""
        return (0, *([] if self.body is None else [self.body]), *self.labels)

    @property
    def named(self) -> dict[int, str]:
        """The names of all numbers but the background's."""
        return ({} if self.body is None else {self.body: "body"}) | dict(self.labels)

    def hint_channels(self, latent_channels: int, factor: int) -> int:
        """The channels of the head's hint.

        Args:
            latent_channels: the channels of the prior's latents.
            factor: the edge of a latent voxel in voxels.
        """
        by_way = {"fractions": 1, "subvoxels": factor**3}
        return latent_channels if self.pooling == "paper" else len(self.numbers) * by_way[self.pooling]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a weights file, the reverse of :func:`mask_task_from_dict`."""
        labels = {str(number): name for number, name in self.labels.items()}
        plain = {"labels": labels, "body": self.body, "pooling": self.pooling}
        return {"task": CARD_NAME, **plain, "modality": self.modality}

    def __str__(self) -> str:
        """The task in a few words, such as ``1=kidney, 2=tumour, 255=body by fractions``."""
        return f"{', '.join(f'{number}={name}' for number, name in sorted(self.named.items()))} by {self.pooling}"


def mask_task(labels: Mapping[int, str], *, body: bool = True, pooling: Pooling = "fractions") -> MaskTask:
    """A task; the body, where it is told, has the number :data:`BODY`.

    Raises:
        InputError: labels that cannot be.
    """
    try:
        return MaskTask(dict(labels), BODY if body else None, pooling)
    except ValueError as error:
        raise InputError(f"`labels`: {error}") from error


def parse_labels(text: str) -> dict[int, str]:
    """Labels from text such as ``1=kidney,2=tumour``; a number alone names itself.

    Raises:
        InputError: not such a list, or a label twice.
    """
    found: dict[int, str] = {}
    for part in text.split(","):
        number, _, name = (each.strip() for each in part.partition("="))
        if not number.isdecimal() or int(number) in found:
            reason = "twice" if number.isdecimal() else "no label"
            raise InputError(f"`labels` {text}: {part.strip()!r} is {reason}; write it as 1=kidney,2=tumour")
        found[int(number)] = name or f"label {int(number)}"
    return found


def is_mask_task(values: Mapping[str, Any]) -> bool:
    """Whether a weights file's task is that of a head for segmentations."""
    return values.get("task") == CARD_NAME


def mask_task_from_dict(values: Mapping[str, Any]) -> MaskTask:
    """A task from a weights file.

    Raises:
        InputError: not the values of such a task.
    """
    try:
        if not is_mask_task(values) or set(values) - _KEYS:
            raise ValueError(f"its task is {values.get('task')!r}")
        labels = {int(number): str(name) for number, name in values["labels"].items()}
        return MaskTask(labels, values.get("body"), values.get("pooling", "fractions"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the weights do not say which labels they were trained for: {error}") from error
