"""Is this k-space what its axes say? Its zero frequency at the centre, its first axis slices and not partitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import InputError

_LEAST = 8
"""Samples of an axis below which nothing can be told of it."""

_PEAK = 5.0
"""Of the energy at zero frequency over the median along an axis; noise has no such peak."""

_OUTER = 0.05
"""Most of the energy of the outer half of partitions over the strongest one; slices of a body differ far less."""


def check_centred(path: Path, data: np.ndarray) -> None:
    """Refuse (z, coils, y, x) k-space as ``np.fft.fft2`` returns it: zero frequency, the strongest, at the edge.

    Each axis is looked at by itself, since one alone may have been forgotten.
    """
    energy = _energy(data).sum(axis=(0, 1))
    if not np.isfinite(energy).all() or not energy.any():
        return
    cornered = [name for name, profile in (("y", energy.sum(1)), ("x", energy.sum(0))) if _at_the_edge(profile)]
    if cornered:
        axes = " and ".join(cornered)
        place = "in the corner" if len(cornered) == 2 else f"at the edge of axis {axes}"
        raise InputError(
            f"{path}: the zero frequency lies {place}; it must be at the centre: apply np.fft.fftshift over {axes}"
        )


def check_slices(path: Path, data: np.ndarray, advice: str) -> None:
    """Refuse 3D k-space, whose first axis is a third phase encoding: nearly all of its energy lies in the middle."""
    profile = _energy(data).sum(axis=(1, 2, 3))
    if len(profile) < _LEAST // 2 or not np.isfinite(profile).all():
        return
    middle = len(profile) // 2
    distance = np.abs(np.arange(len(profile)) - middle)
    outer = profile[distance >= max(2, len(profile) // 4)]
    if int(profile.argmax()) == middle and outer.size and outer.max() < _OUTER * profile[middle]:
        raise InputError(
            f"{path}: the energy along the first axis lies in its middle, as along the partitions of 3D k-space, "
            f"which are no slices; {advice}"
        )


def _at_the_edge(profile: np.ndarray) -> bool:
    peak, length = int(profile.argmax()), len(profile)
    strong = profile[peak] > _PEAK * np.median(profile)
    return length >= _LEAST and strong and min(peak, length - peak) <= 1


def _energy(data: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # values that are not finite are another check's business
        return np.square(np.abs(data), dtype=np.float64)
