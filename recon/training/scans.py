"""Simulated scans of a training set, kept on disk where they take long.

A scan of a continuous object, its model error taken off, takes a minute or two. Several steps of a training ask for the
same one: the images that are shown, the base image, and the data-consistency step of every round. So its data are kept.
Scans by the operator itself, and those of MR, are simulated again each time, which takes less than reading them.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from datasets.cache import Cache
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.acquisition.stored_scan import restored_measurement, stored_data, stored_estimate
from recon.learned.task import Task
from recon.scan.measurement import Measurement
from recon.training.excerpts import Excerpts
from recon.training.prepared import Prepared


def simulated_scan(
    volume: Prepared, task: Task, seed: int, cache: Cache, device: torch.device | str, excerpts: Excerpts
) -> Measurement:
    """The scan with a seed of a part of a volume.

    Args:
        volume: the volume.
        task: how scans are simulated.
        seed: the seed of the part and of all that is drawn for the scan.
        cache: the cache that keeps scans which take long.
        device: the device of the operator and the data.
        excerpts: what parts of volumes are scanned.
    """
    acquisition, part = task.acquisition, excerpts.of(volume, seed)
    if not isinstance(acquisition, CTAcquisition) or acquisition.simulation != "continuous":
        return acquisition.simulate(part, seed, device)
    as_asked = replace(acquisition, model_error=None)
    settings = {"acquisition": as_asked.to_dict(), "seed": seed} | excerpts.to_dict()
    made: list[Measurement] = []

    def simulated() -> Measurement:
        if not made:
            made.append(as_asked.simulate(part, seed, device))
        return made[0]

    stored = cache.entry(volume.case, "scan-2", settings, lambda: stored_data(simulated()))
    estimate = cache.entry(volume.case, "scan-estimate-2", settings, lambda: (stored_estimate(simulated()), {}))
    return restored_measurement(part, stored.array, stored.details, estimate.array, device)
