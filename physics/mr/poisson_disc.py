"""Variable-density Poisson-disc sampling: sigpy's mask for the same seed, in bounded time.

``sigpy.mri.poisson`` bisects the slope s of the disc radius 1 + s·r until the acceleration is within 0.1 of the
target. Its loop need not end (a target that no slope reaches halves s until the float underflows), and its
first, sparsest trials can take seconds each. The bisection here takes the same decisions, without the trials
whose outcome is certain, and ends.

The first disc may lie so deep in the calibration region that nothing around it is free, and then there are no others,
whatever the slope. Of such a seed the discs are drawn from another that follows from it. And where no slope gives the
number of samples, some are left out of a denser mask, which keeps the distances of the others; or, where even the
smallest discs are too few, free places are added.
"""

from __future__ import annotations

import numpy as np

TOLERANCE = 0.1
"""sigpy's: |acceleration − target| of an accepted mask."""

RELAXED = 0.02
"""Where no slope meets :data:`TOLERANCE`, the nearest mask is taken as it is if its acceleration is within this
fraction."""

_MOST_TRIALS = 30
_SMALLEST_SLOPE = 1e-2  # changes no radius by more than this much of a sample or two
_MOST_STARTS = 64
"""Seeds that are tried in turn where the first disc of each finds no place for others."""

_ATTEMPTS = 30  # rejected candidates after which a disc is closed, sigpy's default
_HEXAGONAL = 2 / np.sqrt(3)  # discs of distance r are at most this / r² dense


def poisson_disc(shape: tuple[int, int], accel: float, calib: int, seed: int) -> np.ndarray:
    """A (y, x) bool mask with a fully sampled ``calib``² centre and without corners.

    Equal to ``sigpy.mri.poisson(shape, accel, calib=(calib, calib), seed=seed)`` where that succeeds (Bridson
    2007 for the discs), and drawn for any other seed too.

    Raises:
        ValueError: an acceleration that takes the corners.
    """
    radius = _distance(shape, calib)
    densest = radius.size / int((radius < 1).sum())
    if accel < densest:
        raise ValueError(f"poisson leaves out the corners: it is at least {densest:.3g} times accelerated")
    for start in range(_MOST_STARTS):
        nearest, enough = _bisected(shape, radius, accel, calib, seed)
        if abs(_acceleration(nearest) - accel) <= max(TOLERANCE, RELAXED * accel):
            return nearest
        if enough is not None or not _is_stuck(shape, radius, calib, seed):
            break
        seed = int(np.random.SeedSequence([seed, start]).generate_state(1)[0])
    return _with_count(nearest if enough is None else enough, radius < 1, calib, round(nearest.size / accel), seed)


def _bisected(
    shape: tuple[int, int], radius: np.ndarray, accel: float, calib: int, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The mask whose acceleration is nearest, and the sparsest one with enough samples; None where none has."""
    low, high = 0.0, float(max(shape))
    best, reached, enough = np.zeros(shape, bool), np.inf, None
    for _ in range(_MOST_TRIALS):
        slope = (low + high) / 2
        if slope < _SMALLEST_SLOPE:
            break
        if _sparsest_bound(shape, radius, slope, calib) > 2 * accel:
            high = slope
            continue
        mask = _trial(shape, radius, slope, calib, seed)
        actual = _acceleration(mask)
        if abs(actual - accel) < abs(reached - accel):
            best, reached = mask, actual
        if actual <= accel and (enough is None or mask.sum() < enough.sum()):
            enough = mask
        if abs(actual - accel) < TOLERANCE:
            break
        low, high = (slope, high) if actual < accel else (low, slope)
    return best, enough


def _acceleration(mask: np.ndarray) -> float:
    return mask.size / max(int(mask.sum()), 1)


def _is_stuck(shape: tuple[int, int], radius: np.ndarray, calib: int, seed: int) -> bool:
    """Whether no disc finds a place outside of the calibration region even where discs are smallest."""
    return int(_trial(shape, radius, _SMALLEST_SLOPE, calib, seed).sum()) <= calib**2 + 1


def _with_count(mask: np.ndarray, places: np.ndarray, calib: int, count: int, seed: int) -> np.ndarray:
    """A mask with so many samples: some outside of the centre are left out, or free places added, at random."""
    centre = np.zeros_like(mask)
    centre[tuple(slice(int(n / 2 - calib / 2), int(n / 2 + calib / 2)) for n in mask.shape)] = True
    surplus = int(mask.sum()) - max(count, int(centre.sum()))
    candidates = np.flatnonzero(mask & ~centre if surplus > 0 else places & ~mask)
    changed = mask.copy()
    changed.flat[np.random.default_rng(seed).choice(candidates, abs(surplus), replace=False)] = surplus < 0
    return changed


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
