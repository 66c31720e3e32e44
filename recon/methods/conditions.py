"""What networks are shown of a measurement, and what their samples change: reconstructions by other methods.

They are whole reconstructions, so that whoever asks for them can name the networks that made them.
"""

from __future__ import annotations

from collections.abc import Sequence

from recon.learned.task import Task
from recon.methods import get_method, parse_options
from recon.scan.measurement import Measurement, ProgressEvent, Reconstruction, RunContext
from recon.scan.volume import Modality


def shown(task: Task, measurement: Measurement, context: RunContext | None = None) -> tuple[Reconstruction, ...]:
    """What a network of a task is shown, in the order of ``task.conditions``.

    Args:
        task: the task that the network was trained for.
        measurement: the scan.
        context: the run that is told the progress; None for nobody.
    """
    return tuple(condition(task.modality, name, measurement, context) for name in task.conditions)


def references(
    task: Task, measurement: Measurement, known: Sequence[Reconstruction], context: RunContext | None = None
) -> tuple[Reconstruction, ...]:
    """The reconstructions the mean of which a head's samples change, in the order of ``task.references``.

    Args:
        task: the task that the head was trained for.
        measurement: the scan.
        known: what the head is :func:`shown`; methods among those are not run again.
        context: the run that is told the progress; None for nobody.
    """
    by_name = dict(zip(task.conditions, known, strict=True))
    return tuple(
        by_name[name] if name in by_name else condition(task.modality, name, measurement, context)
        for name in task.references
    )


def condition(
    modality: Modality, name: str, measurement: Measurement, context: RunContext | None = None
) -> Reconstruction:
    """The reconstruction by a method with its defaults, whose randomness does not depend on the run's.

    Raises:
        InputError: there is no such method, or no weights for it.
    """
    method = get_method(modality, name)

    def told(event: ProgressEvent) -> None:
        if context is not None:
            context.report(f"{name} image", event.done, event.total, event.residual)

    return method.run(measurement, parse_options(method, {}), RunContext(progress=told, device=measurement.y.device))
