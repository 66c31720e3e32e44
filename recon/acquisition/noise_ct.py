"""The noise of a CT scan, estimated from its sinogram alone.

Line integrals change smoothly from cell to cell, noise does not: what fourth differences along the detector leave is
noise, where no edge crosses. Rays through air have neither edges nor texture, and there neighbouring views agree as
well. So the estimate looks for the quietest part of the scan: windows of cells whose mean squared differences are
distributed as those of white noise are, by a χ² law, whatever the rest of the windows do. Where there is no such part,
as in noise-free data or in a scan without any air, the noise is unknown, and that is what is said.

A photon count's relative variance is its reciprocal, Var p̂ = eᵖ / I₀: one number, I₀, tells the noise of all rays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.noise import TransmissionNoise
from recon.acquisition.noise_floor import noise_floor

_WINDOW = 32
_FOURTH = torch.tensor([1.0, -4.0, 6.0, -4.0, 1.0]) / math.sqrt(70.0)
_LAGS = 4
"""Cells over which neighbouring differences are correlated, at most."""

_THINNEST, _THIN_SHARE = 120, 0.05
"""So many windows of the lowest line integrals are looked at, or this share of them where it is more: air, if any."""

_ROUNDING = 1e-12
"""Mean squares at or below it are the rounding of single precision, not noise."""

_LEAST_PHOTONS, _MOST_PHOTONS = 10.0, 1e9


@dataclass(frozen=True)
class NoiseEstimate:
    """The noise of a scan, and where it was seen.

    Attributes:
        noise: photons per cell and view.
        windows: number of windows of cells that show it.
        share: their share of all that were looked at.
        source: what was compared: ``"cells"`` or ``"views"``.
    """

    noise: TransmissionNoise
    windows: int
    share: float
    source: str


def estimate_noise(y: Tensor) -> NoiseEstimate | None:
    """The noise of line integrals (z, views, cells); None where it cannot be told.

    Cells are compared with their neighbours, and views with the next ones. The noisier of the two is taken, since the
    cells of a real detector share light, and read more alike than their noise is.
    """
    y = y.detach().double().cpu()
    found = [estimate for estimate in (_from_cells(y), _from_views(y)) if estimate]
    return min(found, key=lambda estimate: estimate.noise.photons, default=None)


def _from_cells(y: Tensor) -> NoiseEstimate | None:
    reach = len(_FOURTH)
    if y.shape[-1] < _WINDOW + reach - 1:
        return None
    windows = y.unfold(-1, reach, 1)
    difference, level = windows @ _FOURTH.double(), windows.mean(-1)
    return _quietest(difference, level, "cells")


def _from_views(y: Tensor) -> NoiseEstimate | None:
    if y.shape[1] < 2 or y.shape[-1] < _WINDOW:
        return None
    difference, level = y.diff(dim=1) / math.sqrt(2), (y[:, 1:] + y[:, :-1]) / 2
    return _quietest(difference, level, "views")


def _quietest(difference: Tensor, level: Tensor, source: str) -> NoiseEstimate | None:
    """The noise that the quietest windows share.

    Args:
        difference: (z, views, cells) differences in which noise has its own variance.
        level: (z, views, cells) line integrals there.
        source: what was compared.
    """
    windows = (difference * torch.exp(-level / 2)).unfold(-1, _WINDOW, _WINDOW).reshape(-1, _WINDOW)
    windows = windows - windows.mean(-1, keepdim=True)
    depth = level.unfold(-1, _WINDOW, _WINDOW).mean(-1).flatten()
    power = windows.square().sum(-1) / (_WINDOW - 1)
    changing = power > _ROUNDING
    windows, depth, power = windows[changing], depth[changing], power[changing]
    thin = depth.argsort()[: max(_THINNEST, round(_THIN_SHARE * len(depth)))]
    if not len(thin):
        return None
    floor = noise_floor(power[thin].numpy(), _degrees(windows[thin], power[thin]))
    if floor is None or not _LEAST_PHOTONS <= 1 / floor.variance <= _MOST_PHOTONS:
        return None
    return NoiseEstimate(TransmissionNoise(1 / floor.variance), floor.windows, floor.share, source)


def _degrees(windows: Tensor, power: Tensor) -> float:
    """Degrees of freedom of a window's mean square, from how the quieter half of (n, cells) windows is correlated."""
    quiet = windows[power <= power.median()]
    total = quiet.square().mean()
    lags = [float((quiet[:, lag:] * quiet[:, :-lag]).mean() / total) for lag in range(1, _LAGS + 1)]
    return (_WINDOW - 1) / (1 + 2 * sum(correlation**2 for correlation in lags))
