"""What a mask samples: which kind of mask it is like, whoever drew it.

Only the density is looked at: how far from the centre of k-space the samples lie, in comparison with the density that a
kind is drawn from. The fully sampled centre and the acceleration are numbers of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physics.mr.masks import GAUSS_STD, calibration_width

_EVEN = 0.9
"""Share of the gaps between columns that are alike, from which on the columns are equispaced."""

_ALLOWED = 0.16
"""Largest difference of two cumulative densities that is no reason to call them different, however many samples; of
Poisson discs packed in a rectangle it is up to 0.13."""

_ALLOWED_BY_CHANCE = 1.63
"""The same times the root of the number of samples: of drawn columns one in a hundred differs more (Kolmogorov)."""

_LEAST = 3
"""Samples outside of the centre below which nothing can be told."""

_DISC_DENSITY = 0.55
"""Share of the places that discs of one sample leave to samples; of drawn masks it is 0.5 to 0.6."""


def samples_like(mask: Tensor) -> str | None:
    """The kind of mask that samples k-space like a given one.

    Args:
        mask: (y, x) bool, True where sampled, zero frequency at n // 2.

    Returns:
        ``poisson`` for a variable density along both axes; for whole columns ``gauss1d``, ``random`` or
        ``equispaced``; None for a mask that is like none of these, or has too few samples to tell.
    """
    if not mask.any() or mask.all():
        return None
    if bool((mask == mask[:1]).all()):
        return _columns_like(mask[0])
    if bool((mask == mask[:, :1]).all()):
        return None  # whole rows
    return "poisson" if _is_poisson(mask) else None


def _columns_like(sampled: Tensor) -> str | None:
    """The kind of whole columns (x,)."""
    half = len(sampled) // 2
    position = torch.arange(len(sampled)) - half
    outside = torch.ones_like(sampled)
    width = _centre_width(sampled)
    outside[half - (width + 1) // 2 : half + width // 2 + 1] = False
    drawn = sampled & outside
    if int(drawn.sum()) < _LEAST:
        return None
    if _is_even(position[drawn]):
        return "equispaced"
    distance = position.abs().double()
    uniform = outside.double()
    gaussian = _without_replacement(
        torch.exp(-0.5 * (distance / (GAUSS_STD * len(sampled))).square()) * uniform, int(drawn.sum())
    )
    found = {
        "gauss1d": _difference(distance, gaussian, drawn),
        "random": _difference(distance, uniform, drawn),
    }
    kind = min(found, key=lambda name: found[name])
    return kind if found[kind] <= max(_ALLOWED, _ALLOWED_BY_CHANCE / int(drawn.sum()) ** 0.5) else None


def _centre_width(sampled: Tensor) -> int:
    """Number of neighbouring columns around the centre that are all sampled."""
    half = len(sampled) // 2
    left, right = sampled[:half].flip(0), sampled[half:]
    return int(left.long().cumprod(0).sum() + right.long().cumprod(0).sum())


def _is_even(position: Tensor) -> bool:
    """Whether columns on the two sides of the centre lie at even distances, up to rounding."""
    gaps = torch.cat([side.diff() for side in (position[position < 0], position[position >= 0])])
    if len(gaps) < _LEAST - 1:
        return False
    step = float(gaps.double().mean())
    return step >= 2 and float(((gaps - step).abs() < 1).double().mean()) >= _EVEN


def _without_replacement(density: Tensor, count: int) -> Tensor:
    """How probable it is that each place is among ``count`` places drawn without replacement from a density.

    Drawing by exponential clocks, 1 − exp(−t · density) with t such that the expected count is right.
    """
    low, high = 0.0, 1.0
    while float((1 - torch.exp(-high * density)).sum()) < count and high < 1e30:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if float((1 - torch.exp(-middle * density)).sum()) > count else (middle, high)
    return 1 - torch.exp(-high * density)


def _is_poisson(mask: Tensor) -> bool:
    """Whether samples along both axes thin out as those of a Poisson-disc mask do, discs of size 1 + s·r."""
    rows, columns = mask.shape
    width = calibration_width(mask)
    y, x = (torch.arange(size, dtype=torch.float64) - size // 2 for size in (rows, columns))
    outside = torch.ones_like(mask)
    first = rows // 2 - (width + 1) // 2, columns // 2 - (width + 1) // 2
    outside[first[0] : first[0] + width + 1, first[1] : first[1] + width + 1] = False
    away = [(axis.abs() - width / 2).clamp_min(0) for axis in (y, x)]
    radius = torch.hypot(
        *torch.broadcast_tensors((away[0] / away[0].max().clamp_min(1))[:, None], away[1] / away[1].max().clamp_min(1))
    )
    outside &= radius < 1
    drawn = mask & outside
    count = int(drawn.sum())
    if count < 10 * _LEAST:
        return False
    found = _difference(radius, _disc_density(radius, outside, count), drawn)
    return found <= _ALLOWED and found < _difference(radius, outside.double(), drawn)


def _disc_density(radius: Tensor, outside: Tensor, count: int) -> Tensor:
    """How densely discs of size 1 + s·r lie at each place, relative, with s for the count of samples.

    Discs are ellipses in the ratio of the axes, whose half axes are no shorter than a sample.
    """
    rows, columns = (size / max(radius.shape) for size in radius.shape)
    low, high = 0.0, 1e3
    for _ in range(60):
        slope = (low + high) / 2
        size = 1 + slope * radius
        density = outside / ((size * rows).clamp_min(1) * (size * columns).clamp_min(1))
        low, high = (slope, high) if _DISC_DENSITY * float(density.sum()) > count else (low, slope)
    return density


def _difference(radius: Tensor, density: Tensor, drawn: Tensor) -> float:
    """Largest difference of the cumulative densities over the radius: expected, and as drawn."""
    order = radius.flatten().argsort()
    at = radius.flatten()[order]
    expected = density.flatten()[order].cumsum(0)
    found = drawn.flatten()[order].double().cumsum(0)
    last = torch.ones_like(at, dtype=torch.bool)
    last[:-1] = at[1:] > at[:-1]
    return float((expected / expected[-1] - found / found[-1])[last].abs().max())
