"""The grain of MR images: what of them varies from voxel to voxel, noise and fine detail alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_OUTER = 0.8
"""Of the largest frequency along one axis; samples beyond it are mostly noise, of images with any noise to speak of."""

_LOW = 0.1
"""Quantile of their squares."""


def grain_of_outer_samples(kspace: Tensor, mask: Tensor) -> float:
    """Root mean square of the grain in a fully sampled image, as the outermost samples of k-space tell.

    Squares of complex Gaussian noise are exponentially distributed, so that a low quantile tells their mean, which
    strong samples do not move however many they are among those of few columns near the centre.
    Fine detail counts as grain, which is therefore no estimate of the noise but two to four times as much; so it is as
    much of what no sample tells. A magnitude simulated from has all of it, one of complex k-space half of its square.

    Args:
        kspace: (..., y, x) complex, centred, orthonormal.
        mask: (y, x) bool, True where k-space was sampled.

    Returns:
        The grain in the unit of the image; 0 where no outer frequency was sampled.
    """
    rows, columns = (torch.linspace(-1, 1, size, device=mask.device).abs() for size in mask.shape)
    outer = mask & (torch.maximum(rows[:, None], columns[None]) > _OUTER)
    if not outer.any():
        return 0.0
    power = kspace[..., outer].abs().square().flatten()
    low = float(power.kthvalue(max(1, round(_LOW * power.numel()))).values)
    return math.sqrt(low / -math.log1p(-_LOW))
