"""What a head is shown of a scan, and the image that its samples change: the first step of ``meddiffusion``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recon.acquisition.network_scale import network_scale
from recon.learned.provenance import CONDITION, REFERENCE, weights_shown
from recon.learned.task import Task
from recon.methods.conditions import base_images, shown
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.data_consistency import agreeing


@dataclass(frozen=True)
class Shown:
    """Images of a scan.

    Attributes:
        images: what the head is shown, (n, Z, X, Y) in the network range, on the CPU.
        base_image: the image that samples change, (z, y, x) in the operator's unit.
        base_images: the images whose mean the base image is, (m, z, y, x) in the operator's unit.
        weights: the hash of each network that made one of them, by name.
        notices: the networks among these that were not made for the scan, in words.
    """

    images: Tensor
    base_image: Tensor
    base_images: Tensor
    weights: dict[str, str]
    notices: tuple[str, ...] = ()


def show(task: Task, measurement: Measurement, context: RunContext, allow_other: bool = False) -> Shown:
    """Reconstruct what a head is shown, and make the base image.

    The base image is the last of the images shown, or the mean of several methods' images.
    Methods err differently, so their mean, after a data-consistency step, is often better than each of them.

    Args:
        task: the task that the head was trained for.
        measurement: the scan.
        context: the run that is told the progress.
        allow_other: whether methods may use networks that were not made for the scan.
    """
    conditions = shown(task, measurement, context, allow_other)
    others = base_images(task, measurement, conditions, context, allow_other)
    means = torch.stack([each.mean for each in others])
    named = weights_shown(CONDITION, task.conditions, conditions)
    further = {
        name: image for name, image in zip(task.base_methods, others, strict=True) if name not in task.conditions
    }
    named |= weights_shown(REFERENCE, list(further), list(further.values()))
    notices = tuple(dict.fromkeys(notice for each in (*conditions, *others) for notice in each.notices))
    base_image = _base_image(measurement, means, context)
    return Shown(in_network_range(measurement, conditions), base_image, means, named, notices)


def in_network_range(measurement: Measurement, images: Sequence[Reconstruction]) -> Tensor:
    """Reconstructions as networks see them: (n, Z, X, Y) in the network range, on the CPU."""
    scale = network_scale(measurement)
    return torch.stack([scale.to_network(each.mean) for each in images]).cpu()


def _base_image(measurement: Measurement, images: Tensor, context: RunContext) -> Tensor:
    if len(images) == 1:
        return images[0]
    context.report("mean of base images", 0, 1)
    base_image = agreeing(measurement, images.mean(0))
    context.report("mean of base images", 1, 1)
    return base_image
