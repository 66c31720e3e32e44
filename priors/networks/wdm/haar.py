"""The orthonormal Haar transform of volumes, one level: eight sub-bands of half the size.

Along each axis, the low band is (even + odd) / sqrt(2) and the high band (even - odd) / sqrt(2). The bands lie in the
order LLL, LLH, LHL, LHH, HLL, HLH, HHL, HHH, whose letters name the first, the second and the third axis of a volume.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from priors.networks.sizes import check_size
from priors.networks.wdm.config import BANDS

LOW_SCALE = 3.0
"""What the lowest band is divided by for a network, so that all bands have about the range of the volume."""

_AXES = (2, 3, 4)


def haar_bands(x: Tensor) -> list[Tensor]:
    """The eight bands of (B, C, Z, X, Y), each (B, C, Z / 2, X / 2, Y / 2).

    Raises:
        ValueError: an edge is odd.
    """
    check_size(x.shape[2:], 2)
    bands = [x]
    for axis in _AXES:
        bands = [part for band in bands for part in _split(band, axis)]
    return bands


def from_haar_bands(bands: list[Tensor]) -> Tensor:
    """The reverse of :func:`haar_bands`."""
    for axis in reversed(_AXES):
        bands = [_merged(low, high, axis) for low, high in zip(bands[::2], bands[1::2], strict=True)]
    (volume,) = bands
    return volume


def to_coefficients(volumes: Tensor) -> Tensor:
    """Volumes (B, 1, Z, X, Y) as what the networks see: (B, 8, Z / 2, X / 2, Y / 2), the lowest band divided by 3."""
    low, *high = haar_bands(volumes)
    return torch.cat([low / LOW_SCALE, *high], dim=1)


def from_coefficients(coefficients: Tensor) -> Tensor:
    """The reverse of :func:`to_coefficients`."""
    low, *high = coefficients.chunk(BANDS, dim=1)
    return from_haar_bands([LOW_SCALE * low, *high])


def white_coefficients(noise: Tensor) -> Tensor:
    """White noise (B, 1, Z, X, Y) of a volume as white noise of coefficients: its bands, none of them divided."""
    return torch.cat(haar_bands(noise), dim=1)


def _split(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
    return (even + odd) / math.sqrt(2), (even - odd) / math.sqrt(2)


def _merged(low: Tensor, high: Tensor, axis: int) -> Tensor:
    pair = torch.stack([(low + high) / math.sqrt(2), (low - high) / math.sqrt(2)], dim=axis + 1)
    return pair.flatten(axis, axis + 1)
