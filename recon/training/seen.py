"""Whose data a training builds upon: what every network that it begins with, builds on or is shown has seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from priors.diffusion.load import files_of_prior, prior_of_head
from priors.weights.card import read_card
from priors.weights.seen import Seen, seen_in
from recon.errors import input_errors
from recon.learned.task import Task
from recon.learned.trained import weights_path
from recon.methods import get_method
from recon.training.request import Request
from recon.training.sources import TrainingVolume


def own_data(volumes: Sequence[TrainingVolume]) -> Seen:
    """What a training sees of its own volumes."""
    cases = [each.volume.case for each in volumes]
    contents = {each.volume.content for each in volumes if each.volume.content}
    return Seen.of({case.subject for case in cases}, {case.id for case in cases}, contents)


def begun_with(request: Request, volumes: Sequence[TrainingVolume]) -> dict[str, str]:
    """What a resumed run must share with its checkpoint, so that the card tells all that its network has seen.

    Returns:
        ``data``, the hash of the prepared volumes with their classes, in their order, and ``warm_start``, that of the
        initial weights.
    """
    listing = [[each.volume.sha256, each.class_index] for each in volumes]
    start = "none" if request.warm_start is None else read_card(request.warm_start).sha256
    return {"data": hashlib.sha256(json.dumps(listing).encode()).hexdigest(), "warm_start": start}


def seen_before(request: Request) -> list[Seen]:
    """What the networks of a request have seen: the initial weights, the prior, the head with its own prior, and the
    networks that make the images of the task.

    Raises:
        InputError: a file that cannot be read.
    """
    found: dict[Seen, None] = {}
    with input_errors():
        for path in _networks(request):
            found |= dict.fromkeys(seen_in(read_card(path).extra))
    return list(found)


def _networks(request: Request) -> Iterator[Path]:
    if request.warm_start is not None:
        yield request.warm_start
    if request.base is not None:
        yield from files_of_prior(request.base)
    if request.head is not None:
        yield request.head
        if request.base is None:
            yield from files_of_prior(prior_of_head(request.head))
    if request.learned_task is not None:
        yield from _of_task(request.learned_task)


def _of_task(task: Task) -> Iterator[Path]:
    """The networks that make the images which a network of a task is shown, or changes."""
    for name in dict.fromkeys([*task.conditions, *task.reference]):
        kind = get_method(task.modality, name).weights
        if kind:
            yield weights_path(kind, "", task.modality)
