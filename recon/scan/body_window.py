"""The part of the slices that a patient fills: what lies around is air, and networks need not spend time on it."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.scan.volume import Modality

Window = tuple[slice, slice]
"""Regions of two axes."""

_DENSE = {"CT": -0.5}
"""Above is more than air, network range (-500 HU). MR has no such value: magnitudes of noise and tissue overlap."""

_MARGIN = 6
"""Pixels around the outermost dense one."""


def body_window(image: Tensor, modality: Modality, multiple: int) -> Window:
    """The smallest region of all slices with everything that is denser than air, in edges of ``multiple``.

    Args:
        image: (Z, X, Y) in the network range.
        modality: the modality of the image; MR keeps whole slices.
        multiple: edges are multiples of it where the image is large enough.

    Returns:
        Regions of X and Y.
    """
    whole = (slice(0, image.shape[1]), slice(0, image.shape[2]))
    if modality not in _DENSE:
        return whole
    dense = (image > _DENSE[modality]).any(dim=0)
    if not dense.any():
        return whole
    return _around(dense.any(dim=1), multiple), _around(dense.any(dim=0), multiple)


def _around(dense: Tensor, multiple: int) -> slice:
    """Of one axis: its dense pixels with a margin on both sides, grown evenly, moved where it would reach outside."""
    places = dense.nonzero().flatten()
    first, stop = int(places[0]) - _MARGIN, int(places[-1]) + 1 + _MARGIN
    size = -(-(stop - first) // multiple) * multiple
    if size >= len(dense):
        return slice(0, len(dense))
    first = min(max((first + stop - size) // 2, 0), len(dense) - size)
    return slice(first, first + size)


def placed(part: Tensor, window: Window, size: torch.Size) -> Tensor:
    """(Z, X, Y) of ``size`` with ``part`` in its window and zeros around."""
    out = part.new_zeros(size)
    out[:, window[0], window[1]] = part
    return out
