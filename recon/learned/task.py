"""What a network learns to undo, as a value: the scans, what it is shown of them, and what its samples change.

A task goes into a weights file as plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr_acquisition import MRAcquisition
from recon.errors import InputError
from recon.learned.mask_task import GENERATES, is_mask_task
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Modality

Acquisition = CTAcquisition | MRAcquisition

_KINDS: dict[str, type[CTAcquisition] | type[MRAcquisition]] = {
    kind.card_name: kind for kind in (CTAcquisition, MRAcquisition)
}
_DIRECT = {"svct": ("fbp",), "mri": ("zero-filled",)}
"""What networks are shown whose cards do not say it."""


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        acquisition: the scans.
        conditions: names of the methods whose images the network is shown.
        reference: the names of the methods whose mean image is the base image, which a head's samples change; none: the
            last condition. The name is that of the cards' key.
    """

    acquisition: Acquisition
    conditions: tuple[str, ...]
    reference: tuple[str, ...] = ()

    @property
    def modality(self) -> Modality:
        """CT or MR."""
        return self.acquisition.modality

    @property
    def of_many_scanners(self) -> bool:
        """Whether scanners and arcs were drawn in training; such a network knows more of them, and each less well."""
        return bool(self.acquisition.scanners)

    def knows_coils_of(self, scan: Protocol) -> bool:
        """Whether training had scans of as many receive coils as this one; of CT, always."""
        return isinstance(self.acquisition, CTAcquisition) or self.acquisition.knows_coils_of(scan)

    @property
    def base_methods(self) -> tuple[str, ...]:
        """The names of the methods whose mean image is the base image, which a head's samples change."""
        return self.reference or self.conditions[-1:]

    def why_unsuitable(self, scan: Measurement | Protocol) -> str | None:
        """Why a network of this task is not made for a scan, in one line; None if it is."""
        return self.acquisition.why_unsuitable(scan)

    def why_unproven(self, scan: Measurement | Protocol) -> str | None:
        """Why it is not known that a network of this task is better than total variation on a scan; None if it is."""
        return self.acquisition.why_unproven(scan)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :func:`task_from_dict`.

        No reference where there is none, so that scans are found in a cache from before there were any.
        """
        values = {"task": self.acquisition.card_name, **self.acquisition.to_dict(), "conditions": self.conditions}
        reference = {"reference": self.reference} if self.reference else {}
        return values | reference | {"modality": self.modality}


def task_from_dict(values: Mapping[str, Any]) -> Task:
    """A task from a weights file.

    Raises:
        InputError: not the values of a task, or those of a head for segmentations, which reconstructs nothing.
    """
    if is_mask_task(values):
        raise InputError(f"`weights`: {GENERATES}; give them to 'recon generate', as its head")
    try:
        content: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        name = content.pop("task")
        content.pop("modality", None)  # follows from the task's name
        conditions, reference = content.pop("conditions", _DIRECT[name]), content.pop("reference", ())
        return Task(_KINDS[name].from_dict(content), conditions, reference)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the weights do not say what they were trained for: {error}") from error
