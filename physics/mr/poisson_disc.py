"""Variable-density Poisson-disc sampling: sigpy's mask for the same seed, in bounded time.

``sigpy.mri.poisson`` bisects the slope s of the disc radius 1 + s·r until the acceleration is within 0.1 of the
target. Its loop need not end (a target that no slope reaches halves s until the float underflows), and its
first, sparsest trials can take seconds each. The bisection here takes the same decisions, without the trials
whose outcome is certain, and ends.
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 0.1
"""sigpy's: |acceleration − target| of an accepted mask."""

RELAXED = 0.02
"""Where no slope meets :data:`TOLERANCE`, the nearest mask is taken if its acceleration is within this fraction."""

_MOST_TRIALS = 30
_SMALLEST_SLOPE = 1e-2  # changes no radius by more than this much of a sample or two
_ATTEMPTS = 30  # rejected candidates after which a disc is closed, sigpy's default
_HEXAGONAL = 2 / np.sqrt(3)  # discs of distance r are at most this / r² dense


def poisson_disc(shape: tuple[int, int], accel: float, calib: int, seed: int) -> np.ndarray:
    """A (y, x) bool mask with a fully sampled ``calib``² centre and without corners.

    Equal to ``sigpy.mri.poisson(shape, accel, calib=(calib, calib), seed=seed)`` where that succeeds (Bridson
    2007 for the discs).

    Raises:
        ValueError: no slope comes near ``accel``; the message says what would.
    """
    radius = _distance(shape, calib)
    densest = radius.size / int((radius < 1).sum())
    if accel < densest:
        raise ValueError(f"poisson leaves out the corners: it is at least {densest:.3g} times accelerated")
    low, high = 0.0, float(max(shape))
    best, reached = np.zeros(shape, bool), np.inf
    for _ in range(_MOST_TRIALS):
        slope = (low + high) / 2
        if slope < _SMALLEST_SLOPE:
            break
        if _sparsest_bound(shape, radius, slope, calib) > 2 * accel:
            high = slope
            continue
        mask = _trial(shape, radius, slope, calib, seed)
        actual = mask.size / max(int(mask.sum()), 1)
        if abs(actual - accel) < abs(reached - accel):
            best, reached = mask, actual
        if abs(actual - accel) < TOLERANCE:
            return mask
        low, high = (slope, high) if actual < accel else (low, slope)
    if abs(reached - accel) > RELAXED * accel:
        raise ValueError(
            f"poisson cannot be {accel:g} times accelerated at {shape[0]} × {shape[1]} with a calibration region "
            f"of {calib}; the nearest that works is about {reached:.3g} times"
        )
    return best


def _distance(shape: tuple[int, int], calib: int) -> np.ndarray:
    """Distance from the calibration region, 1 at the edges' middles; sigpy's grid, centred at n / 2."""
    axes = [np.maximum(np.abs(np.arange(n) - n / 2) - calib / 2, 0) for n in shape]
    y, x = (axis / max(axis.max(), np.finfo(float).tiny) for axis in axes)
    return np.hypot(y[:, None], x[None, :])


def _radii(shape: tuple[int, int], radius: np.ndarray, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """(y, x) half axes of the discs, in samples, at least 1."""
    y, x = (np.clip((1 + radius * slope) * n / max(shape), 1, None) for n in shape)
    return y, x


def _sparsest_bound(shape: tuple[int, int], radius: np.ndarray, slope: float, calib: int) -> float:
    """An acceleration that any packing of the discs exceeds, up to the rounding of centres to the grid."""
    y, x = _radii(shape, radius, slope)
    return radius.size / (calib**2 + float(np.minimum(_HEXAGONAL / (y * x), 1).sum()))


def _trial(shape: tuple[int, int], radius: np.ndarray, slope: float, calib: int, seed: int) -> np.ndarray:
    # The compiled kernel is private to sigpy, whose version the constraints pin; a test compares the masks.
    from sigpy.mri.samp import _poisson as discs

    y, x = _radii(shape, radius, slope)
    return (discs(shape[1], shape[0], _ATTEMPTS, x, y, (calib, calib), seed) != 0) & (radius < 1)
