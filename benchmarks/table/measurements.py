"""The measurement of one case by one row of a table, which all methods of the row see.

A scan of a continuous object costs more than most methods: it is projected on a finer grid, and its model error is
estimated. So it is kept in a cache beside the results, which the worker processes share, and the last one in memory.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import torch

from benchmarks.table.dependencies import measuring_sha256
from benchmarks.table.spec import OperatorSpec
from datasets.cache import Cache
from datasets.case import Case
from datasets.identity import content_sha256
from physics.mr.masks import seed_of
from physics.noise import TransmissionNoise
from recon.acquisition.continuous import averaged
from recon.acquisition.ct import choose_geometry
from recon.acquisition.stored_scan import restored_measurement, stored_data, stored_estimate
from recon.errors import InputError
from recon.run.load import load_case
from recon.run.measure import measure_ct, measure_mr
from recon.scan.measurement import Scan
from recon.scan.volume import Volume

_LAST: dict[str, Scan] = {}
"""This process's last scan, by its key and device: the methods of one case and row follow one another."""


def measured(case: Case, operator: OperatorSpec, cache: Cache, device: str) -> Scan:
    """The scan of a case; noise, phase and mask follow from the name of the case.

    Args:
        case: the case with its file.
        operator: how it is measured.
        cache: keeps scans of continuous CT objects.
        device: the device of the operator and the data.

    Raises:
        InputError: a file that cannot be read or measured.
    """
    key = _key(case, operator)
    if f"{key} {device}" not in _LAST:
        scan = _ct(case, operator, key, cache, device) if operator.modality == "CT" else _mr(case, operator, device)
        _LAST.clear()
        _LAST[f"{key} {device}"] = scan
    return _LAST[f"{key} {device}"]


def _key(case: Case, operator: OperatorSpec) -> str:
    """A hash of all that the scan depends on; rows of other tables with other names share it."""
    how = operator.model_dump(mode="json", exclude={"name"})
    facts = [case.id, content_sha256(case), how, measuring_sha256()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:40]


def _ct(case: Case, operator: OperatorSpec, key: str, cache: Cache, device: str) -> Scan:
    assert operator.geometry is not None
    volume = load_case(case)
    if not isinstance(volume, Volume) or volume.modality != "CT":
        raise InputError(f"{case.id}: no CT volume")
    noise = TransmissionNoise(operator.photons) if operator.photons else None
    geometry = choose_geometry(operator.geometry, operator.views)
    arguments = (volume, geometry, noise, seed_of(case.id), device)
    if operator.simulate == "ideal":
        return measure_ct(*arguments, simulate="ideal")
    made: list[Scan] = []

    def simulated() -> Scan:
        if not made:
            made.append(measure_ct(*arguments, simulate="continuous", grid=operator.grid))
        return made[0]

    source, how = content_sha256(case), {"key": key}  # the case's name may be a person's
    truth = cache.entry(source, "continuous ground truth", how, lambda: (_truth(simulated()), {}))
    data = cache.entry(source, "continuous scan", how, lambda: stored_data(simulated().measurement))
    estimate = cache.entry(
        source, "estimate on a finer grid", how, lambda: (stored_estimate(simulated().measurement), {})
    )
    if made:
        return simulated()
    grid = replace(_grid(volume, operator), data=torch.from_numpy(np.array(truth.array)))
    return Scan(restored_measurement(grid, data.array, data.details, estimate.array, device), grid, grid)


def _truth(scan: Scan) -> np.ndarray:
    assert scan.truth is not None
    return scan.truth.data.numpy()


def _grid(volume: Volume, operator: OperatorSpec) -> Volume:
    return volume if operator.grid is None else averaged(volume, operator.grid)


def _mr(case: Case, operator: OperatorSpec, device: str) -> Scan:
    data, seed = load_case(case), seed_of(case.id)
    sampling = (operator.mask, operator.accel, None, seed, operator.noise, seed, device)
    if isinstance(data, Volume):
        coils = operator.coils if operator.simulate == "continuous" else None
        return measure_mr(data, *sampling, operator.simulate, coils)
    if operator.simulate == "ideal" or operator.coils != 1:
        raise InputError(f"row {operator.name}: {case.id} is measured k-space, of which nothing is simulated")
    return measure_mr(data, *sampling)
