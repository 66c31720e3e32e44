"""Cartesian undersampling masks: one for a whole volume, reproducible from a seed.

Phase encoding runs along x (the last axis) for the masks of whole columns, and along y and x for ``poisson`` and
``caipi``: masks of 3D scans, whose readout runs across the slices.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Shape2D = tuple[int, int]

POISSON_CALIBRATION = 24
"""Default side, in samples, of the fully sampled centre of ``poisson`` and ``caipi``."""

ALONG_BOTH_AXES = ("poisson", "caipi")
"""Kinds that undersample along y and x, whose fully sampled centre is a square."""

GAUSS_STD = 15.0 / 128.0
"""Standard deviation of the ``gauss1d`` densities as a fraction of the matrix (Chung & Ye 2022, score-MRI)."""


@dataclass(frozen=True)
class Mask:
    """A sampling mask and where it came from.

    Attributes:
        array: (y, x) bool, True where sampled, zero frequency at n // 2.
        kind: one of :data:`MASK_KINDS`, or ``"file"``.
        accel: the acceleration that was asked for; for a file, the true one.
        calib: width of the fully sampled centre, in columns or, for :data:`ALONG_BOTH_AXES`, samples a side.
        seed: None for a file.
    """

    array: Tensor
    kind: str
    accel: float
    calib: int
    seed: int | None

    @property
    def true_acceleration(self) -> float:
        """Number of k-space points over number of samples."""
        return self.array.numel() / int(self.array.sum())


def make_mask(kind: str, shape: Shape2D, accel: float, calib: int | None = None, seed: int = 0) -> Mask:
    """Draw a mask.

    Args:
        kind: one of :data:`MASK_KINDS`.
        shape: (y, x) of k-space.
        accel: nominal acceleration, at least 1; 1 samples everything.
        calib: fully sampled centre, in columns or, for ``poisson`` and ``caipi``, samples a side; None: the kind's
            default (:func:`default_calibration`).
        seed: the seed of the mask's own generator; see :func:`seed_of`.

    Raises:
        ValueError: an unknown kind, an acceleration below 1 or beyond what the centre leaves room for, a
            centre larger than k-space, or a seed out of range.
    """
    if kind not in MASK_KINDS:
        raise ValueError(f"there is no mask {kind!r}; there are {', '.join(MASK_KINDS)}")
    if not (math.isfinite(accel) and accel >= 1):
        raise ValueError(f"the acceleration must be at least 1, not {accel:g}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"the mask's seed must be from 0 to 2³²−1, not {seed}")
    calib = default_calibration(kind, shape, accel) if calib is None else calib
    _check_calibration(kind, shape, accel, calib)
    array = np.ones(shape, bool) if accel == 1 else MASK_KINDS[kind](shape, accel, calib, seed)
    if not array.any():
        raise ValueError(f"{kind} with acceleration {accel:g} samples nothing of {shape[0]} × {shape[1]}; lower it")
    return Mask(torch.from_numpy(array.copy()), kind, accel, calib, seed)


def seed_of(name: str) -> int:
    """A seed that depends on a volume's name only: the same on every machine and in every session."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def default_calibration(kind: str, shape: Shape2D, accel: float) -> int:
    """The fully sampled centre a kind has by default.

    ``gauss1d``: 8 % of the columns (at most two thirds of those sampled); ``random`` and the equispaced
    ones: fastMRI's 8 % at 4 times and 4 % at 8 times, and in proportion elsewhere; ``poisson``, ``caipi``: 24 a side.
    """
    columns = shape[1]
    if kind in ALONG_BOTH_AXES:
        return min(POISSON_CALIBRATION, *shape)
    if kind in ("random", "equispaced", "equispaced-legacy"):
        return round(columns * min(0.32 / accel, 1.0))
    if kind == "gauss1d":
        return min(int(columns * 0.08), round(columns / accel) * 2 // 3)
    return int(columns * 0.08)


def calibration_width(array: Tensor) -> int:
    """Side of the largest fully sampled square at the centre of a (y, x) bool mask."""
    rows, columns = array.shape
    width = 0
    while width < min(rows, columns):
        first_row, first_column = rows // 2 - (width + 1) // 2, columns // 2 - (width + 1) // 2
        if not array[first_row : first_row + width + 1, first_column : first_column + width + 1].all():
            break
        width += 1
    return width


def stated_mask(array: np.ndarray, shape: Shape2D) -> Mask:
    """A mask of zeros and ones that somebody states: (y, x), or (x,) for whole columns.

    Args:
        array: the zeros and ones, of any real type.
        shape: (y, x) of the k-space it is for.

    Raises:
        ValueError: other values, another shape, or nothing sampled.
    """
    array = np.squeeze(array)
    if array.shape not in (shape, shape[1:]):
        raise ValueError(f"the mask is {array.shape}, but k-space is {shape[0]} × {shape[1]} (y, x)")
    if array.dtype.kind not in "buif" or not np.isin(array, (0, 1)).all():
        raise ValueError("a mask holds zeros and ones only")
    if not array.any():
        raise ValueError("the mask is empty: it samples nothing")
    mask = torch.from_numpy(np.broadcast_to(array != 0, shape).copy())
    return Mask(mask, "file", mask.numel() / int(mask.sum()), calibration_width(mask), None)


def _check_calibration(kind: str, shape: Shape2D, accel: float, calib: int) -> None:
    both = kind in ALONG_BOTH_AXES
    side = min(shape) if both else shape[1]
    if not 0 <= calib <= side:
        raise ValueError(f"the calibration region must be 0 to {side} wide for this k-space, not {calib}")
    points, centre = (shape[0] * shape[1], calib**2) if both else (shape[1], calib)
    if kind in ("poisson", "gauss1d", "random", "equispaced") and centre > round(points / accel):
        raise ValueError(
            f"{kind} cannot be {accel:g} times accelerated with a calibration region of {calib}: "
            f"at most {points / centre:.3g} times, or a smaller region"
        )


def _columns(sampled: np.ndarray, shape: Shape2D) -> np.ndarray:
    return np.broadcast_to(sampled.astype(bool), shape)


def _centre(columns: int, calib: int) -> slice:
    first = columns // 2 - calib // 2
    return slice(first, first + calib)


def _gauss1d(shape: Shape2D, accel: float, calib: int, seed: int) -> np.ndarray:
    """Exactly round(x / accel) columns: the centre, and the rest drawn without replacement."""
    columns = shape[1]
    sampled = np.zeros(columns, bool)
    sampled[_centre(columns, calib)] = True
    density = np.exp(-0.5 * ((np.arange(columns) - columns // 2) / (GAUSS_STD * columns)) ** 2)
    density[sampled] = 0
    missing = round(columns / accel) - calib
    if missing > 0:
        generator = np.random.default_rng(seed)
        sampled[generator.choice(columns, missing, replace=False, p=density / density.sum())] = True
    return _columns(sampled, shape)


def _gauss1d_legacy(shape: Shape2D, accel: float, calib: int, seed: int) -> np.ndarray:
    """The mask of score-MRI and DDS, bit for bit: draws with replacement, so the true acceleration varies."""
    columns = shape[1]
    draws = int(1.2 * (columns // accel))
    positions = np.random.RandomState(seed).normal(columns // 2, GAUSS_STD * columns, draws)
    sampled = np.zeros(columns, bool)
    sampled[np.clip(positions.astype(int), 0, columns - 1)] = True
    sampled[_centre(columns, calib)] = True
    return _columns(sampled, shape)


def _random(shape: Shape2D, accel: float, calib: int, seed: int) -> np.ndarray:
    from fastmri.data.subsample import RandomMaskFunc

    mask, _ = RandomMaskFunc([calib / shape[1]], [accel])((1, shape[1], 2), seed=seed)
    return _columns(mask.numpy().ravel(), shape)


def _equispaced(shape: Shape2D, accel: float, calib: int, seed: int) -> np.ndarray:
    """Columns at even distances, up to rounding, so wide that with those of the centre the acceleration is met."""
    from fastmri.data.subsample import EquispacedMaskFractionFunc

    if calib * accel == shape[1]:  # the distance would be infinite
        return _columns(np.isin(np.arange(shape[1]), np.arange(shape[1])[_centre(shape[1], calib)]), shape)
    mask, _ = EquispacedMaskFractionFunc([calib / shape[1]], [accel])((1, shape[1], 2), seed=seed)
    return _columns(mask.numpy().ravel(), shape)


def _equispaced_legacy(shape: Shape2D, accel: float, calib: int, seed: int) -> np.ndarray:
    """Every n-th column and the centre, which comes on top: the true acceleration is less, 6 to 6.4 of 8."""
    from fastmri.data.subsample import EquiSpacedMaskFunc

    if accel != int(accel):
        raise ValueError(f"equispaced-legacy takes every n-th column: the acceleration must be whole, not {accel:g}")
    mask, _ = EquiSpacedMaskFunc([calib / shape[1]], [int(accel)])((1, shape[1], 2), seed=seed)
    return _columns(mask.numpy().ravel(), shape)


def _poisson(shape: Shape2D, accel: float, calib: int, seed: int) -> np.ndarray:
    from physics.mr.poisson_disc import poisson_disc

    return poisson_disc(shape, accel, calib, seed)


def _caipi(shape: Shape2D, accel: float, calib: int, seed: int) -> np.ndarray:
    """A lattice along both axes whose columns are shifted from row to row (CAIPIRINHA; Breuer et al. 2006, Magn Reson
    Med 55:549), and the centre, which comes on top; the seed moves the lattice as a whole."""
    if accel != int(accel):
        raise ValueError(f"caipi takes points of a lattice: the acceleration must be whole, not {accel:g}")
    along_y, along_x, shift = caipi_lattice(int(accel))
    first = np.random.default_rng(seed).integers(0, (along_y, along_x))
    rows, columns = np.arange(shape[0])[:, None] + first[0], np.arange(shape[1]) + first[1]
    sampled = (rows % along_y == 0) & ((columns + shift * (rows // along_y)) % along_x == 0)
    sampled[_centre(shape[0], calib), _centre(shape[1], calib)] = True
    return sampled


def caipi_lattice(accel: int) -> tuple[int, int, int]:
    """Steps along y and x whose product is the acceleration, as alike as can be, and the shift of every next row that
    keeps neighbours farthest apart."""
    along_y = max(step for step in range(1, math.isqrt(accel) + 1) if accel % step == 0)
    along_x = accel // along_y
    return along_y, along_x, max(range(along_x // 2 + 1), key=lambda shift: _nearest(along_y, along_x, shift))


def _nearest(along_y: int, along_x: int, shift: int) -> list[int]:
    """The squared distances of points of such a lattice to one of them, ascending: few near ones are best."""
    rows = range(along_x + 1)
    squares = [
        (k * along_y) ** 2 + ((k * shift + m * along_x) ** 2) for k in rows for m in range(-along_x, along_x + 1)
    ]
    return sorted(square for square in squares if square > 0)


MASK_KINDS: dict[str, Callable[[Shape2D, float, int, int], np.ndarray]] = {
    "gauss1d": _gauss1d,
    "gauss1d-legacy": _gauss1d_legacy,
    "poisson": _poisson,
    "caipi": _caipi,
    "random": _random,
    "equispaced": _equispaced,
    "equispaced-legacy": _equispaced_legacy,
}
"""The kinds :func:`make_mask` draws. ``gauss1d`` has the exact acceleration, ``poisson`` and ``equispaced`` nearly; the
others' true acceleration differs from the nominal one and is to be read from the mask."""
