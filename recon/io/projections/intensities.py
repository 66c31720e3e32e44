"""From what a detector reads to line integrals: darks, flats, dead cells, binning, minus logarithm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recon.errors import InputError

_DEAD_SHARE = 0.02
"""A cell that reads less than this share of the usual flat is dead."""

_AIR = 0.05
"""Share of the flat by which a reading in air may differ."""

_LEAST_VIEWS = 4
"""Views of which a cell that always reads the same is called dead."""

_LEAST_FRAMES = 4
"""Flats from whose scatter the gain is estimated."""

_LEAST_LIVE = 0.5
"""Share of the cells of a bin that must have been measured for the bin to count."""

_MOST_SATURATED = 0.5


@dataclass(frozen=True)
class LineIntegrals:
    """Line integrals and which of them were measured.

    Attributes:
        data: (z, views, cells) float32, 0 where nothing was measured.
        measured: (z, views, cells) bool.
        notices: what was found and done.
        meta: what the flats tell of the noise.
    """

    data: np.ndarray
    measured: np.ndarray
    notices: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)


def from_intensities(
    counts: np.ndarray,
    flat: np.ndarray | None,
    dark: np.ndarray | None,
    ceiling: float | None,
    width: int,
    name: str,
) -> LineIntegrals:
    """Line integrals −log((counts − dark) / (flat − dark)), cells binned before the logarithm.

    A bin's intensity is the sum over its measured cells, over the same cells' sum of the flat, as one wide cell counts.

    Args:
        counts: (z, views, cells) counts; or transmissions, where there is no flat.
        flat: (frames, z, cells) readings without an object; None takes 1.
        dark: (frames, z, cells) readings without a beam; None takes 0.
        ceiling: the largest value that a reading can have; None where it is not known.
        width: cells to a bin.
        name: name of the data, for messages.

    Raises:
        InputError: flats that are mostly saturated or not above the darks, or no ray with a signal.
    """
    offset = np.zeros((1, 1, 1)) if dark is None else dark.mean(0, dtype=np.float64)[:, None]
    open_beam = np.ones((len(counts), 1, counts.shape[-1])) if flat is None else _open_beam(flat, offset, ceiling, name)
    dead = _dead_cells(open_beam) | (_constant_cells(counts) & ~_in_air(counts - offset, open_beam))
    measured = np.isfinite(counts) & ~dead
    notices = _of_cells(dead, "dead or never change")
    if ceiling is not None and flat is not None:
        full = counts >= ceiling
        notices += _of_rays(full & measured, f"saturated (they read {ceiling:g})")
        measured &= ~full
    signal = np.where(measured, counts - offset, 0.0)
    signal, beam, live = (_binned(part, width) for part in (signal, measured * open_beam, measured))
    measured = live >= _LEAST_LIVE * width
    dark_rays = measured & (signal <= 0)
    notices += _of_rays(dark_rays, "without any signal")
    measured &= ~dark_rays
    if not measured.any():
        raise InputError(f"{name}: no ray has a signal above the dark; are counts, flats and darks in their places?")
    ratio = np.divide(signal, beam, out=np.ones_like(signal), where=measured)
    meta = {} if flat is None else {"flats": _gain(flat, offset, dark, dead, width)}
    return LineIntegrals(-np.log(ratio).astype(np.float32), measured, notices, meta)


def from_line_integrals(data: np.ndarray, width: int) -> LineIntegrals:
    """Line integrals as they are, cells binned by their mean; NaN, infinity and stuck cells were not measured."""
    measured = np.isfinite(data)
    notices = _of_rays(np.isinf(data), "infinite, as of no photons at all")
    dead = _constant_cells(data) & _between_changing(data)
    notices += _of_cells(dead, "never change though their neighbours do")
    measured &= ~dead
    values, live = _binned(np.where(measured, data, 0.0), width), _binned(measured, width)
    enough = live >= _LEAST_LIVE * width
    mean = np.divide(values, live, out=np.zeros_like(values), where=enough)
    return LineIntegrals(mean.astype(np.float32), enough, notices)


def _open_beam(flat: np.ndarray, offset: np.ndarray, ceiling: float | None, name: str) -> np.ndarray:
    if ceiling is not None and float((flat >= ceiling).mean()) > _MOST_SATURATED:
        raise InputError(f"{name}: the flats are saturated (they read {ceiling:g}); nothing can be divided by them")
    beam = flat.mean(0, dtype=np.float64)[:, None] - offset
    if float(np.median(beam)) <= 0:
        raise InputError(f"{name}: the flats are not brighter than the darks; are they swapped?")
    return beam


def _dead_cells(open_beam: np.ndarray) -> np.ndarray:
    return ~(open_beam > _DEAD_SHARE * np.median(open_beam))


def _in_air(signal: np.ndarray, open_beam: np.ndarray) -> np.ndarray:
    """(z, 1, cells) whether cells read first what they read without an object, as noise-free ones do beside it."""
    return np.abs(signal[:, :1] - open_beam) <= _AIR * np.abs(open_beam)


def _constant_cells(data: np.ndarray) -> np.ndarray:
    """(z, 1, cells) whether a cell reads the same in every view, where others do not."""
    if data.shape[1] < _LEAST_VIEWS:
        return np.zeros((len(data), 1, data.shape[-1]), bool)
    constant = (data == data[:, :1]).all(1, keepdims=True)
    return constant & ~constant.all(-1, keepdims=True)


def _between_changing(data: np.ndarray) -> np.ndarray:
    """(z, 1, cells) whether cells that change lie on both sides: air beside the object may read 0 in all views."""
    changing = ~(data == data[:, :1]).all(1, keepdims=True)
    left, right = np.cumsum(changing, -1), np.cumsum(changing[..., ::-1], -1)[..., ::-1]
    return (left > 0) & (right > 0)


def _binned(data: np.ndarray, width: int) -> np.ndarray:
    """Sums over ``width`` neighbouring cells; what is left over at the end is dropped."""
    bins = data.shape[-1] // width
    return data[..., : bins * width].reshape(*data.shape[:-1], bins, width).sum(-1)


def _gain(
    flat: np.ndarray, offset: np.ndarray, dark: np.ndarray | None, dead: np.ndarray, width: int
) -> dict[str, Any]:
    """Counts per photon from the scatter of the flats over their mean, and the photons that follow for a bin.

    Frames are scaled to the same mean first, since a beam's brightness drifts.
    """
    live = ~dead[:, 0]
    if len(flat) < _LEAST_FRAMES or not live.any():
        return {}
    frames = (flat - offset[:, 0])[:, live]
    frames = frames * (frames.mean() / frames.mean(1, keepdims=True))
    mean, variance = frames.mean(0), frames.var(0, ddof=1)
    electronic = dark[:, live].var(0, ddof=1) if dark is not None and len(dark) >= _LEAST_FRAMES else 0.0 * mean
    gain = float(np.mean(variance - electronic) / np.mean(mean))
    if not gain > 0:
        return {}
    return {
        "flat_counts": float(mean.mean()),
        "flat_frames": len(flat),
        "counts_per_photon": gain,
        "photons": float(mean.mean()) / gain * width,
        "electronic": float(np.sqrt(np.mean(electronic) * width)) / gain,
    }


def _of_cells(dead: np.ndarray, what: str) -> tuple[str, ...]:
    count = int(dead.sum())
    return (f"{count} of {dead.size} cells are {what}: they count as not measured",) if count else ()


def _of_rays(rays: np.ndarray, what: str) -> tuple[str, ...]:
    count = int(rays.sum())
    return (f"{count} of {rays.size} rays are {what}: they count as not measured",) if count else ()
