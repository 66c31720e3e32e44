"""The noise of an MR scan: from noise-only readouts where there are some, else from outer k-space.

Noise is complex Gaussian and of the same level everywhere in k-space, while what an image puts there falls off towards
the edge. So the farthest samples tell the noise where the image is weaker there (:mod:`recon.acquisition.noise_floor`).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from recon.acquisition.noise_floor import noise_floor

_WINDOW = 8
"""Samples of one coil whose mean square is taken; neighbours in the order of k-space."""

_SHARES = (0.0, 0.12, 0.24)
"""The farthest samples tell the noise; as many nearer ones tell whether it is noise, which is the same there."""

_WHITE = 1.25
"""Power of the nearer samples over that of the farthest, above which both are signal that falls off."""


def kspace_noise(y: Tensor, mask: Tensor | None = None) -> float | None:
    """Standard deviation σ of the noise per complex sample, E|n|² = σ²; None where k-space shows none.

    Coils are taken to be equally noisy; where they are not, prewhiten first (:func:`prewhitened`).

    Args:
        y: (z, coils, y, x) complex k-space, centred, zero where not sampled.
        mask: (y, x) bool, True where sampled; None takes all.
    """
    filled = (y != 0).any(0).any(0)
    mask = filled if mask is None else filled & mask.to(y.device)
    if not mask.any():
        return None
    rows, columns = (torch.arange(size, device=y.device) - size // 2 for size in mask.shape)
    radius = torch.hypot(rows[:, None] / (len(rows) / 2), columns / (len(columns) / 2))
    order = radius[mask].sort(descending=True).values
    edges = [order[int(share * (len(order) - 1))] for share in _SHARES]
    farthest, farther = (mask & (radius <= far) & (radius >= near) for far, near in itertools.pairwise(edges))
    floors = [_floor(y[..., ring]) for ring in (farthest, farther)]
    if floors[0] is None or floors[1] is None or floors[1] > _WHITE * floors[0]:
        return None
    return math.sqrt(floors[0])


def _floor(samples: Tensor) -> float | None:
    """Mean square of the noise in samples (z, coils, n); zeros that a scanner filled in are none."""
    if samples.shape[-1] < _WINDOW:
        return None
    power = samples[..., : samples.shape[-1] // _WINDOW * _WINDOW].abs().double().square().unflatten(-1, (-1, _WINDOW))
    means = power[(power > 0).all(-1)].mean(-1)
    floor = noise_floor(means.cpu().numpy(), 2 * _WINDOW)
    return None if floor is None else floor.variance


def noise_covariance(readouts: Tensor) -> Tensor:
    """(coils, coils) Hermitian E[n nᴴ] of noise-only readouts (coils, samples).

    Raises:
        ValueError: fewer samples than coils, so that the covariance would be singular.
    """
    coils, samples = readouts.shape
    if samples <= coils:
        raise ValueError(f"noise readouts of {coils} coils need more than {coils} samples, not {samples}")
    readouts = readouts.to(torch.complex128)
    return readouts @ readouts.conj().T / samples


def prewhitened(y: Tensor, covariance: Tensor) -> Tensor:
    """k-space (z, coils, y, x) in virtual coils whose noise is uncorrelated and has σ = 1, E|n|² = 1.

    The virtual coils are L⁻¹ y with L Lᴴ the covariance (Roemer et al. 1990, Magn Reson Med 16:192; Pruessmann 2001).
    """
    factor = torch.linalg.cholesky(covariance.to(torch.complex128))
    inverse = torch.linalg.inv(factor).to(y)
    return torch.einsum("ij,zjyx->ziyx", inverse, y)
