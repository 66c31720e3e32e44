"""Simulated scans of a training set, kept on disk where they take long.

A scan of a continuous object, its model error taken off, takes a minute or two. Several steps of a training ask for the
same one: the images that are shown, the base image, and the data-consistency step of every round. So its data are kept.
Scans by the operator itself, and those of MR, are simulated again each time, which takes less than reading them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.cache import Cache
from physics.ct.geometry import geometry_from_dict
from physics.noise import Sigma
from recon.acquisition.ct import projector_for
from recon.acquisition.ct_acquisition import CTAcquisition
from recon.learned.task import Task
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Volume
from recon.training.excerpts import Excerpts
from recon.training.prepared import Prepared

_LISTS = ("sentences", "notices")
"""Fields of a protocol that JSON has as lists."""


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

    def make() -> tuple[np.ndarray, dict[str, object]]:
        return _packed(as_asked.simulate(part, seed, device))

    settings = {"acquisition": as_asked.to_dict(), "seed": seed} | excerpts.to_dict()
    stored = cache.entry(volume.case, "scan-1", settings, make)
    return _unpacked(stored.array, stored.details, part, device)


def _packed(measurement: Measurement) -> tuple[np.ndarray, dict[str, object]]:
    """(z, 3, views, cells) float32 data, their deviation and that of the model error; what else is known of them.

    A deviation that is not known is stored as NaN.
    """
    y = measurement.y
    deviations = [_whole(each, y) for each in (measurement.sigma, measurement.model_error)]
    protocol = asdict(measurement.protocol)
    return torch.stack([y.cpu(), *deviations], 1).numpy(), {"protocol": protocol}


def _whole(deviation: Sigma, y: Tensor) -> Tensor:
    found = torch.as_tensor(float("nan") if deviation is None else deviation)
    return found.to(torch.float32).cpu().expand(y.shape)


def _unpacked(array: np.ndarray, details: Mapping[str, Any], part: Volume, device: torch.device | str) -> Measurement:
    """The reverse of :func:`_packed`, for a scan of this part."""
    values = dict(details["protocol"])
    protocol = Protocol(**(values | {name: tuple(values[name]) for name in _LISTS}))
    stated = {key: value for key, value in (protocol.geometry or {}).items() if key != "description"}
    projector = projector_for(part, geometry_from_dict(stated), device)
    y, sigma, model_error = torch.from_numpy(np.array(array)).to(projector.device).unbind(1)
    return Measurement(
        y.contiguous(), projector, _known(sigma), part.spacing, protocol, model_error=_known(model_error)
    )


def _known(deviation: Tensor) -> Sigma:
    return None if bool(deviation.isnan().any()) else deviation.contiguous()
