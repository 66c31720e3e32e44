"""Simulated scans of a training set: images for a network and their ground truth, made once and kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from datasets.cache import Cache
from datasets.case import Case
from priors.training.batches import derived_seed
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.mr import volume_name
from recon.acquisition.network_scale import network_scale
from recon.errors import InputError
from recon.learned.task import Task
from recon.methods.conditions import shown, weights_of_task
from recon.pictures.lettering import UNKNOWN, Frame
from recon.scan.measurement import Measurement
from recon.scan.volume import Volume
from recon.training.excerpts import WHOLE, Excerpts
from recon.training.prepared import Prepared
from recon.training.scans import simulated_scan


@dataclass(frozen=True)
class StoredPair:
    """One simulated scan, memory-mapped.

    Attributes:
        images: (conditions + 1, Z, X, Y) float16 in the network range, the target last.
        case: the volume's.
        key: what tells this scan from others of the same volume.
        seed: the seed with which the task simulates this scan of the volume.
        frame: what is known of how its pictures lie; nothing of excerpts, whose planes may be any.
        model_error: the scan's relative model error; None where it has none or it is not known.
    """

    images: np.ndarray
    case: Case
    key: str
    seed: int
    frame: Frame = UNKNOWN
    model_error: float | None = None


def with_model_error(task: Task, errors: Iterable[float | None]) -> Task:
    """The task with the least and the largest model error of its scans, for the card; as it is where none is known."""
    known = [error for error in errors if error is not None]
    if not known or not isinstance(task.acquisition, CTAcquisition):
        return task
    return replace(task, acquisition=replace(task.acquisition, model_error=(min(known), max(known))))


def simulate_pairs(
    volumes: Sequence[Prepared],
    task: Task,
    variants: int,
    cache: Cache,
    on_pair: Callable[[], None] | None = None,
    device: torch.device | str = "cpu",
    excerpts: Excerpts = WHOLE,
) -> list[StoredPair]:
    """Scans of every volume, each with its own views, mask and noise.

    Args:
        volumes: prepared.
        task: how scans are simulated and shown.
        variants: scans of one volume.
        cache: the cache that keeps the pairs.
        on_pair: called after each.
        device: the device on which scans are simulated.
        excerpts: what parts of the volumes they are of.
    """
    pairs = []
    for volume in volumes:
        for variant in range(variants):
            pairs.append(_stored(volume, task, variant, cache, device, excerpts))
            if on_pair:
                on_pair()
    return pairs


def _stored(
    volume: Prepared, task: Task, variant: int, cache: Cache, device: torch.device | str, excerpts: Excerpts
) -> StoredPair:
    # A head's task states the model error that its scans were found to have; they are the same scans without that.
    settings = {"task": _as_asked(task).to_dict(), "variant": variant} | excerpts.to_dict()
    if weights := weights_of_task(task):
        settings |= {"weights": weights}  # of the networks whose images are shown
    # derived from the content's name, so that adding a volume leaves the others' scans as they are
    seed = derived_seed(volume.case.id, "scan", variant)

    def make() -> tuple[np.ndarray, dict[str, object]]:
        measurement = simulated_scan(volume, task, seed, cache, device, excerpts)
        error = measurement.protocol.model_error
        return pair_of(task, measurement, excerpts.of(volume, seed)), {"model_error": error}

    stored = cache.entry(volume.case, "pair-1", settings, make)
    frame = volume.frame if excerpts == WHOLE else UNKNOWN
    error = stored.details.get("model_error")
    return StoredPair(stored.array, volume.case, json.dumps(settings, sort_keys=True), seed, frame, error)


def _as_asked(task: Task) -> Task:
    """The task without what was found of its scans."""
    if not isinstance(task.acquisition, CTAcquisition):
        return task
    return replace(task, acquisition=replace(task.acquisition, model_error=None))


def pair_of(task: Task, measurement: Measurement, truth: Volume) -> np.ndarray:
    """What a network is shown of a scan, and what it should say: (conditions + 1, Z, X, Y) float16, the target last.

    Raises:
        InputError: an image is not finite, from which nothing could be learned.
    """
    scale = network_scale(measurement)
    conditions = [scale.to_network(each.mean).cpu() for each in shown(task, measurement)]
    images = torch.stack([*conditions, scale.truth(truth).cpu()]).to(torch.float16)
    for image, name in zip(images, (*task.conditions, "truth"), strict=True):
        if not bool(torch.isfinite(image).all()):
            raise InputError(f"`data`: {volume_name(truth)}: a simulated scan's {name} image has NaN or infinity")
    return images.contiguous().numpy()
