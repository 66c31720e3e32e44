"""CT measurements as plain arrays and values, for caches: a scan of a continuous object takes minutes to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from physics.ct.geometry import geometry_from_dict
from physics.noise import Sigma
from recon.acquisition.ct import projector_for
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Volume

Details = dict[str, Any]
"""JSON values."""

_LISTS = ("sentences", "notices")
"""Fields of a protocol that JSON has as lists."""


def stored_data(measurement: Measurement) -> tuple[np.ndarray, Details]:
    """(3, z, views, cells) float32 data, their standard deviation and that of the model error; all else as JSON values.

    Args:
        measurement: a CT measurement, all rays of which were measured.
    """
    y = measurement.y
    deviations = [measurement.sigma, measurement.model_error]
    parts = [y, *(torch.zeros(()) if each is None else torch.as_tensor(each) for each in deviations)]
    arrays = [part.cpu().expand(y.shape).numpy().astype(np.float32) for part in parts]
    return np.stack(arrays), {
        "protocol": asdict(measurement.protocol),
        "unknown": [each is None for each in deviations],
    }


def stored_estimate(measurement: Measurement) -> np.ndarray:
    """(z, y, x) float32, the estimate on a finer grid that told the model error; of no size where there is none."""
    finer = measurement.finer
    return np.zeros((0, 0, 0), np.float32) if finer is None else finer.cpu().numpy().astype(np.float32)


def restored_measurement(
    grid: Volume, data: np.ndarray, details: Mapping[str, Any], estimate: np.ndarray, device: torch.device | str
) -> Measurement:
    """The reverse of :func:`stored_data` and :func:`stored_estimate`.

    Args:
        grid: a volume on the grid of the result; its data are not looked at.
        data, details, estimate: what was stored.
        device: the device of the operator and the data.
    """
    protocol = _protocol(details["protocol"])
    stated = {key: value for key, value in (protocol.geometry or {}).items() if key != "description"}
    operator = projector_for(grid, geometry_from_dict(stated), device)
    y, *deviations = torch.from_numpy(np.array(data)).to(operator.device)
    sigma, model_error = (
        _known(deviation, unknown) for deviation, unknown in zip(deviations, details["unknown"], strict=True)
    )
    finer = torch.from_numpy(np.array(estimate)).to(operator.device) if estimate.size else None
    return Measurement(y, operator, sigma, grid.spacing, protocol, model_error, finer)


def _known(deviation: Tensor, unknown: bool) -> Sigma:
    return None if unknown else deviation


def _protocol(values: Mapping[str, Any]) -> Protocol:
    return Protocol(**(dict(values) | {name: tuple(values[name]) for name in _LISTS}))
