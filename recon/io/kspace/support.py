"""Which samples of k-space were acquired: what zeros, masks and padding tell, and what they leave open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.errors import InputError

CHANCE = 0.1
"""Share of places up to which samples are zero by chance: quantised noise far from the centre."""

_CENTRED = 0.1
"""Difference of the two margins of a padded axis, over its length, up to which the padding is centred."""


@dataclass(frozen=True)
class Support:
    """What was acquired.

    Attributes:
        mask: (y, x) bool of undersampled data; None where all of ``acquired`` was sampled.
        acquired: (y, x) bool, the rectangle that the scanner sampled; None: the whole matrix.
        partial: whether the rectangle is not centred (partial Fourier, partial echo).
        notices: what was found, in words.
    """

    mask: np.ndarray | None
    acquired: np.ndarray | None
    partial: bool
    notices: tuple[str, ...]


def support_of(
    path: Path, data: np.ndarray, mask: np.ndarray | None, columns: slice | None = None, *, alike: bool = False
) -> Support:
    """What was acquired of (z, coils, y, x) k-space.

    Args:
        path: the file, for messages.
        data: zero where not sampled.
        mask: (y, x) bool that the file states, or None.
        columns: the columns between the padding, if the file states them.
        alike: whether all slices are known to be sampled alike, whatever zeros they have.

    Raises:
        InputError: the slices or the coils are sampled at different places.
    """
    sampled = data != 0
    if mask is not None:
        sampled &= mask
    for axis, name in ((0, "coils"),) if alike else ((1, "slices"), (0, "coils")):
        _check_alike(path, sampled.any(axis=axis), name, mask)
    union = np.asarray(sampled.any(axis=(0, 1)))
    inside = _bounds(union)
    if columns is not None:
        inside = inside[0], columns
    if mask is not None:
        inside = _edges(inside, mask, columns)
    rectangle = np.zeros(union.shape, bool)
    rectangle[inside] = True
    if mask is None and (union | ~rectangle).mean() > 1 - CHANCE:
        taken = None  # a hole or two in a full rectangle are samples that happen to be 0
    else:
        taken = (union if mask is None else mask) & rectangle
        taken = None if (taken | ~rectangle).all() else taken
    if rectangle.all() or (mask is None and taken is not None and columns is None):
        return Support(taken, None, False, ())  # the outermost sample of a mask is no edge of what was scanned
    partial = any(_is_partial(part, length) for part, length in zip(inside, union.shape, strict=True))
    return Support(taken, rectangle, partial, (_words(rectangle, partial),))


def is_rectangle(sampled: np.ndarray) -> bool:
    """Whether (y, x) samples fill the rectangle around them."""
    return bool(sampled[_bounds(sampled)].all())


def _edges(inside: tuple[slice, slice], mask: np.ndarray, columns: slice | None) -> tuple[slice, slice]:
    """The region between the padding that a stated mask betrays: places beyond the data that it calls sampled.

    Where the mask samples nothing beyond the data, these end with the mask, and nothing is told of padding.
    """
    parts = []
    for part, covered, length in zip(inside, _bounds(mask), mask.shape, strict=True):
        start = part.start if covered.start < part.start else 0
        stop = part.stop if covered.stop > part.stop else length
        parts.append(slice(start, stop))
    return parts[0], parts[1] if columns is None else columns


def _check_alike(path: Path, sampled: np.ndarray, name: str, mask: np.ndarray | None) -> None:
    """Refuse a mask a slice, or a coil: their union would take zeros for data. Empty slices and dead coils may be."""
    each = sampled.reshape(len(sampled), -1)
    each = each[each.any(axis=1)]
    if len(each) < 2:
        return
    union, everywhere = each.any(axis=0), each.all(axis=0)
    places = int(union.sum()) if mask is None else int(mask.sum())
    if int(union.sum() - everywhere.sum()) > CHANCE * places:
        raise InputError(
            f"{path}: the {name} are sampled at different places ({int(union.sum())} of {union.size} together, "
            f"{int(everywhere.sum())} in all of them); one mask for the whole volume is needed: "
            "give each group that shares a mask a file"
        )


def _bounds(union: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(union.any(1)), np.flatnonzero(union.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _is_partial(part: slice, length: int) -> bool:
    """Whether the margins before and behind a part differ by more than rounding: then a side is missing."""
    return abs(part.start - (length - part.stop)) > max(1, _CENTRED * length)


def _words(rectangle: np.ndarray, partial: bool) -> str:
    rows, columns = int(rectangle.any(1).sum()), int(rectangle.any(0).sum())
    size = f"{rows} × {columns} of the matrix's {rectangle.shape[0]} × {rectangle.shape[1]} (y, x) samples"
    if partial:
        return f"partial Fourier: {size} were acquired, to one side; without the rest there is no ground truth"
    return f"zero padding: {size} were acquired; the padding counts as no sample"
