"""Simulated scans of a training set: images for a network and their ground truth, made once and kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from datasets.cache import Cache
from datasets.case import Case
from priors.training.batches import derived_seed
from recon.acquisition.network_scale import network_scale
from recon.learned.task import Task
from recon.methods.conditions import shown, weights_of_task
from recon.report.lettering import UNKNOWN, Frame
from recon.scan.measurement import Measurement
from recon.scan.volume import Volume
from recon.training.excerpts import WHOLE, Excerpts
from recon.training.prepared import Prepared


@dataclass(frozen=True)
class StoredPair:
    """One simulated scan, memory-mapped.

    Attributes:
        images: (conditions + 1, Z, X, Y) float16 in the network range, the target last.
        case: the volume's.
        key: what tells this scan from others of the same volume.
        seed: the seed with which the task simulates this scan of the volume.
        frame: what is known of how its pictures lie; nothing of excerpts, whose planes may be any.
    """

    images: np.ndarray
    case: Case
    key: str
    seed: int
    frame: Frame = UNKNOWN


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
    settings = {"task": task.to_dict(), "variant": variant} | excerpts.to_dict()
    if weights := weights_of_task(task):
        settings |= {"weights": weights}  # of the networks whose images are shown
    # derived from the content's name, so that adding a volume leaves the others' scans as they are
    seed = derived_seed(volume.case.id, "scan", variant)

    def make() -> tuple[np.ndarray, dict[str, object]]:
        truth = excerpts.of(volume, seed)
        return pair_of(task, task.acquisition.simulate(truth, seed, device), truth), {}

    images = cache.entry(volume.case, "pair-1", settings, make).array
    frame = volume.frame if excerpts == WHOLE else UNKNOWN
    return StoredPair(images, volume.case, json.dumps(settings, sort_keys=True), seed, frame)


def pair_of(task: Task, measurement: Measurement, truth: Volume) -> np.ndarray:
    """What a network is shown of a scan, and what it should say: (conditions + 1, Z, X, Y) float16, the target last."""
    scale = network_scale(measurement)
    conditions = [scale.to_network(each.mean).cpu() for each in shown(task, measurement)]
    return torch.stack([*conditions, scale.truth(truth).cpu()]).to(torch.float16).contiguous().numpy()
