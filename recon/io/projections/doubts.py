"""Values that are hardly line integrals: refused where nothing sensible can come of them, else said in one line."""

from __future__ import annotations

import numpy as np

from recon.errors import InputError

_OPAQUE = 25.0
"""A line integral that hardly one photon in 10¹⁰ survives."""

_EDGE = 0.04
"""Share of the cells at each end of the detector that usually see air."""

_PLATEAU = 0.002
"""Share of rays with exactly the largest value that is no chance."""

_READS = 0.05
"""Share of the largest mean of a cell that a cell must read to be said to read anything."""

_HOT = 1.5
"""Factor from the largest mean of all other cells to that of a faulty one."""

_LOOKED_AT = 10**6
"""Rays that are looked at, about; evenly taken where there are more."""

_LEAST_RAYS = 10
"""Their least number."""


def check_line_integrals(data: np.ndarray, measured: np.ndarray, stated: bool, name: str) -> tuple[str, ...]:
    """What is doubtful about line integrals (z, views, cells).

    Args:
        data: the values.
        measured: bool, which of them were measured.
        stated: whether the user or the file says that they are line integrals.
        name: name of the data, for messages.

    Raises:
        InputError: a constant, counts, transmissions, or values that are negative altogether.
    """
    values = data if measured.all() else data[measured]
    values = values.ravel()[:: max(1, values.size // _LOOKED_AT)]
    low, middle, high = (float(np.quantile(values, share)) for share in (0.0, 0.5, 1.0))
    if low == high:
        raise InputError(f"{name}: every measured value is {low:g}: there is nothing in it")
    if high <= 0 or float(values.mean()) < -0.05 * float(np.abs(values).max()):
        raise InputError(f"{name}: values {low:g} to {high:g} are negative altogether; is it the log without a minus?")
    if middle > _OPAQUE and not stated:
        raise InputError(
            f"{name}: values {low:g} to {high:g} look like counts, not line integrals; give `minus_log` and a `flat`"
        )
    if not stated and _are_transmissions(data, measured, low, high):
        raise InputError(
            f"{name}: values {low:g} to {high:g} with about 1 beside the object look like transmissions; give "
            "`minus_log`, or `no_minus_log` if they are line integrals all the same"
        )
    doubts = []
    if middle > _OPAQUE or high > 4 * _OPAQUE:
        doubts.append(f"line integrals up to {high:g}: no photon would come through")
    most = int((values == high).sum())
    plateau = most / values.size
    if plateau > _PLATEAU and most >= _LEAST_RAYS:
        doubts.append(f"{plateau:.2g} of the rays have exactly the largest value, {high:g}: are they saturated?")
    return (*doubts, *_faulty(data, measured))


def _faulty(data: np.ndarray, measured: np.ndarray) -> list[str]:
    """Cells and views that read exactly 0 in the middle of others, and cells far above all others."""
    seen = np.where(measured, data, 0)
    told, profile = [], np.abs(seen).mean((0, 1))
    inner = (profile[:-2] > _READS * profile.max()) & (profile[2:] > _READS * profile.max())
    known = np.asarray(measured.any((0, 1)))
    dead = np.flatnonzero((profile[1:-1] == 0) & inner & known[1:-1]) + 1
    if len(dead):
        told.append(f"cells {_first(dead)} read exactly 0 in every view, and their neighbours do not: are they dead?")
    hot = int(profile.argmax())
    if len(profile) > 2 and profile[hot] > _HOT * np.delete(profile, hot).max():
        told.append(f"cell {hot} reads far more than all others: is it faulty?")
    views = np.abs(seen).max((0, 2))
    empty = np.flatnonzero((views == 0) & measured.any((0, 2)))
    if len(empty):
        told.append(f"views {_first(empty)} are 0 throughout: were they measured? Missing rays are NaN in the file")
    return told


def _first(places: np.ndarray) -> str:
    """The first few of some numbers."""
    return ", ".join(map(str, places[:5])) + (f" and {len(places) - 5} more" if len(places) > 5 else "")


def _are_transmissions(data: np.ndarray, measured: np.ndarray, low: float, high: float) -> bool:
    """Whether values from 0 to about 1 are near 1 at the detector's ends and lower in its middle."""
    if not (low >= -0.05 and 0.5 < high < 1.5):
        return False
    cells = data.shape[-1]
    end = max(1, round(_EDGE * cells))
    outside = np.concatenate([data[..., :end][measured[..., :end]], data[..., -end:][measured[..., -end:]]])
    inside = data[..., cells // 3 : -(cells // 3) or None][measured[..., cells // 3 : -(cells // 3) or None]]
    if not (outside.size and inside.size):
        return False
    return abs(float(np.median(outside)) - 1) < 0.15 and float(np.median(inside)) < 0.95 * float(np.median(outside))
