"""Between this suite's axes and range and MAISI's.

Here tensors are (..., Z, X, Y) in [-1, 1], there (..., X, Y, Z) in [0, 1]. Both lie in RAS+, so that no axis is turned.
"""

from __future__ import annotations

from torch import Tensor


def to_maisi(tensor: Tensor) -> Tensor:
    """(..., Z, X, Y) as (..., X, Y, Z); a view."""
    return tensor.movedim(-3, -1)


def from_maisi(tensor: Tensor) -> Tensor:
    """(..., X, Y, Z) as (..., Z, X, Y); a view."""
    return tensor.movedim(-1, -3)


def to_unit_range(image: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]; values outside stay outside."""
    return (image + 1) / 2


def to_network_range(image: Tensor) -> Tensor:
    """From [0, 1] to [-1, 1]; values outside are clipped, as the official scripts do."""
    return image.clamp(0, 1) * 2 - 1
