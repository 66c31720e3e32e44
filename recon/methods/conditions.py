"""What networks are shown of a measurement, and what their samples change: reconstructions by other methods.

They are whole reconstructions, so that whoever asks for them can name the networks that made them.
"""

from __future__ import annotations

from collections.abc import Sequence

from priors.weights.card import read_card
from recon.errors import input_errors
from recon.learned.provenance import CONDITION, REFERENCE
from recon.learned.task import Task, task_from_dict
from recon.learned.trained import weights_path
from recon.methods import get_method, parse_options
from recon.methods.method import method_label
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality


def shown(
    task: Task, measurement: Measurement, context: RunContext | None = None, allow_other: bool = False
) -> tuple[Reconstruction, ...]:
    """What a network of a task is shown, in the order of ``task.conditions``.

    Args:
        task: the task that the network was trained for.
        measurement: the scan.
        context: the run that is told the progress; None for nobody.
        allow_other: whether methods may use networks that were not made for the scan.
    """
    return tuple(condition(task.modality, name, measurement, context, allow_other) for name in task.conditions)


def base_images(
    task: Task,
    measurement: Measurement,
    known: Sequence[Reconstruction],
    context: RunContext | None = None,
    allow_other: bool = False,
) -> tuple[Reconstruction, ...]:
    """The reconstructions the mean of which a head's samples change, in the order of ``task.base_methods``.

    Args:
        task: the task that the head was trained for.
        measurement: the scan.
        known: what the head is :func:`shown`; methods among those are not run again.
        context: the run that is told the progress; None for nobody.
        allow_other: whether methods may use networks that were not made for the scan.
    """
    by_name = dict(zip(task.conditions, known, strict=True))
    return tuple(
        by_name[name] if name in by_name else condition(task.modality, name, measurement, context, allow_other)
        for name in task.base_methods
    )


def condition(
    modality: Modality,
    name: str,
    measurement: Measurement,
    context: RunContext | None = None,
    allow_other: bool = False,
) -> Reconstruction:
    """The reconstruction by a method with its defaults, whose randomness does not depend on the run's.

    Raises:
        InputError: there is no such method, or no weights for it.
    """
    method = get_method(modality, name)
    told = (context or RunContext()).under(f"{method_label(name)} image").progress
    settings = {"allow_other": True} if allow_other and "allow_other" in method.options.model_fields else {}
    options = parse_options(method, settings)
    return method.run(measurement, options, RunContext(progress=told, device=measurement.y.device))


def weights_of_task(task: Task) -> dict[str, str]:
    """The hashes of the networks that make the images of a task now, by names as in results.

    Raises:
        InputError: there is no such method, or no weights for it.
    """
    further = [name for name in task.base_methods if name not in task.conditions]
    return _weights(CONDITION, task.modality, task.conditions) | _weights(REFERENCE, task.modality, further)


def _weights(role: str, modality: Modality, names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        kind = get_method(modality, name).weights
        if kind is None:
            continue
        with input_errors("`weights`"):
            card = read_card(weights_path(kind, "", modality))
        shown_to_it = task_from_dict(card.extra["task"]).conditions if "task" in card.extra else ()
        own = {"network": card.sha256} | _weights(CONDITION, modality, shown_to_it)
        found |= {f"{role} {name}: {key}": sha256 for key, sha256 in own.items()}
    return found
