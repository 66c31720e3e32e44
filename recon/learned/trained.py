"""Trained networks of the methods: which weights, whether they fit the scan, and what they say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.store import find_entries, how_to_get_shipped
from recon.acquisition.network_scale import network_scale
from recon.errors import InputError, input_errors
from recon.learned.provenance import CONDITION, weights_shown
from recon.learned.slice_networks import run_slices
from recon.learned.task import Task, task_from_dict
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Protocol, Reconstruction, RunContext
from recon.scan.volume import Modality

SHIPPED = "baselines"
"""Folder of the weights store with the methods' own weights, ``KIND-ct`` and ``KIND-mr``."""


class NetworkOptions(Options):
    """Options of every method with a network of its own."""

    weights: str = setting("", "weights file (.safetensors); empty: the installed weights of this method")
    allow_other: bool = setting(
        False, "whether to use the weights for a geometry or mask that they were not trained for"
    )


@dataclass(frozen=True)
class Trained:
    """A network with what its file says.

    Attributes:
        network: the network, in eval mode on the run's device.
        task: what it was trained for; None where its file does not say it, as of priors.
        extra: the extra facts of its card.
        sha256: the hash of its tensors.
        notices: why it was not made for the scan, where it is used all the same.
    """

    network: nn.Module
    task: Task | None
    extra: Mapping[str, Any]
    sha256: str
    notices: tuple[str, ...] = ()

    @property
    def known_task(self) -> Task:
        """What it was trained for; :class:`InputError` where its file does not say it."""
        if self.task is None:
            raise InputError("`weights`: the file does not say what the network is to be shown")
        return self.task

    def weights_with(self, shown: Sequence[Reconstruction]) -> dict[str, str]:
        """The hash of the network, and of those that made the images which it is ``shown``, by name."""
        return {"network": self.sha256} | weights_shown(CONDITION, self.known_task.conditions, shown)


def load_trained(kind: str, options: NetworkOptions, measurement: Measurement, modality: Modality) -> Trained:
    """The network of a method for one scan.

    Args:
        kind: the kind of the weights, such as ``fbpconv``.
        options: the options that choose the weights.
        measurement: decides the device, and whether the weights fit.
        modality: the modality of the scan.

    Raises:
        InputError: no weights, damaged ones, or a scan that they were not trained for; the line names a way out.
    """
    path = weights_path(kind, options.weights, modality)
    with input_errors("`weights`"):
        network, card = load_network(path, kind), read_card(path)
    task = task_from_dict(card.extra["task"]) if "task" in card.extra else None
    notices: tuple[str, ...] = ()
    if task is not None:
        notices = check_task(task, measurement, modality, path, options.allow_other)
    elif card.extra.get("modality", modality) != modality:
        raise InputError(f"`weights` {path}: trained on {card.extra['modality']}, the scan is {modality}")
    return Trained(network.to(measurement.y.device).eval(), task, card.extra, card.sha256, notices)


def weights_path(kind: str, given: str, modality: Modality) -> Path:
    """The weights that were named, or those of the store for this kind and modality."""
    if given:
        return Path(given)
    name = f"{SHIPPED}/{kind}-{modality.lower()}"
    try:
        return find_entries(name)[0].path
    except ValueError:
        raise InputError(
            f"`weights`: no weights of kind {kind} for {modality} are installed; train some with "
            f"'recon train {kind}', or take `method` tv{how_to_get_shipped()}"
        ) from None


def check_task(
    task: Task, scan: Measurement | Protocol, modality: Modality, path: Path, allow_other: bool
) -> tuple[str, ...]:
    """Refuse a scan that weights were not trained for.

    Args:
        task: the task of the weights.
        scan: the scan, or how its data will come to be.
        modality: CT or MR.
        path: file of the weights.
        allow_other: whether to use them for another scan of the modality all the same.

    Returns:
        A notice why they were not made for the scan, if so and if they are used all the same.

    Raises:
        InputError: another modality, geometry, mask or noise; the line names a way out.
    """
    if task.modality != modality:
        raise InputError(f"`weights` {path}: trained for {task.modality}, the scan is {modality}; take `method` tv")
    reason = task.why_unsuitable(scan)
    if reason and not allow_other:
        raise InputError(f"`weights` {path}: {reason}; take `method` tv, or `allow_other`=yes to try it all the same")
    return (f"weights {path.name} are not made for this scan: {reason}",) if reason else ()


def run_slice_network(
    trained: Trained, measurement: Measurement, shown: Sequence[Reconstruction], context: RunContext, multiple: int
) -> Reconstruction:
    """A network from condition images to a better one, slice by slice.

    Args:
        trained: the network.
        measurement: the scan.
        shown: reconstructions by the methods of the network's conditions.
        context: the run.
        multiple: edges that the network takes are multiples of this.
    """
    scale = network_scale(measurement)
    images = torch.stack([scale.to_network(each.mean) for each in shown])
    output = run_slices(trained.network, images, multiple, on_progress=partial(context.report, "slices"))
    image = scale.to_physical(output.to(measurement.y.device))
    return Reconstruction(image, weights=trained.weights_with(shown), notices=trained.notices)
