"""The two steps of :mod:`recon.solvers.tv` that hold the gradient: compiled loops on a CPU, torch elsewhere.

All are in place, those of torch by slabs of a few slices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from physics.compiled import in_threads

RELAXATION = 1.9
"""Over-relaxation of the iterates; the method converges below 2."""

AxisWeights = tuple[float, float, float]

_SLAB_ELEMENTS = 2**20


def primal_step(x: Tensor, ahead: Tensor, field: Tensor, step: Tensor, axis_weights: AxisWeights) -> float:
    """One relaxed step of the image, x ← x + ρ (x⁺ − x) with x⁺ = [x − τ(Aᵀu − div field)]₊.

    Args:
        x: (z, y, x) the image, which is overwritten.
        ahead: (z, y, x) Aᵀu, u the data's dual variable; becomes 2 x⁺ − x, from which the dual steps start.
        field: (3, z, y, x) the dual variable of the gradient.
        step: τ, (z, y, x) or (1, y, x).
        axis_weights: factors of the differences along z, y, x.

    Returns:
        ‖x⁺ − x‖ / ‖x‖; 1 of an image of nothing.
    """
    if x.device.type == "cpu":
        change, square = _compiled_primal_step(x, ahead, field, step, axis_weights)
    else:
        change, square = _primal_step(x, ahead, field, step, axis_weights)
    return (change / square) ** 0.5 if square else 1.0


def field_step(field: Tensor, ahead: Tensor, step: float, weight: float, axis_weights: AxisWeights) -> None:
    """Relaxed dual step of λ‖·‖₂: field ← (1 − ρ) field + ρ P(field + s ∇ahead), P onto balls of radius λ.

    Args:
        field: (3, z, y, x), which is overwritten.
        ahead: (z, y, x) 2 x⁺ − x.
        step: s.
        weight: λ.
        axis_weights: factors of the differences along z, y, x.
    """
    if ahead.device.type != "cpu":
        _field_step(field, ahead, step, weight, axis_weights)
        return
    from recon.solvers import tv_kernels

    weights, (s, radius, relaxation) = _numbers(ahead, axis_weights), _numbers(ahead, (step, weight, RELAXATION))
    arrays = field.numpy(), ahead.numpy()
    in_threads(
        lambda first, end: tv_kernels.field_step(*arrays, s, radius, weights, relaxation, first, end), len(ahead)
    )


def _compiled_primal_step(
    x: Tensor, ahead: Tensor, field: Tensor, step: Tensor, axis_weights: AxisWeights
) -> tuple[float, float]:
    from recon.solvers import tv_kernels

    weights, (relaxation,) = _numbers(x, axis_weights), _numbers(x, (RELAXATION,))
    arrays = x.numpy(), ahead.numpy(), field.numpy(), step.numpy()
    sums = np.zeros((len(x), 2))
    in_threads(lambda first, end: tv_kernels.primal_step(*arrays, weights, relaxation, sums, first, end), len(x))
    change, square = sums.sum(0)
    return float(change), float(square)


def _numbers(like: Tensor, numbers: tuple[float, ...]) -> np.ndarray:
    """Numbers in the type of a tensor, in which the compiled loops compute."""
    return np.array(numbers, dtype=np.float64 if like.dtype == torch.float64 else np.float32)


def _primal_step(
    x: Tensor, ahead: Tensor, field: Tensor, step: Tensor, axis_weights: AxisWeights
) -> tuple[float, float]:
    change = square = 0.0
    for slab in _slabs(x):
        new, old = ahead[slab], x[slab]
        new -= _divergence(field, slab, axis_weights)
        new.mul_(-(step if step.shape[0] == 1 else step[slab])).add_(old).clamp_min_(0)
        new -= old
        change += float(new.square().sum())
        square += float(old.square().sum())
        new.mul_(2).add_(old)
        old.lerp_(new, RELAXATION / 2)
    return change, square


def _field_step(field: Tensor, ahead: Tensor, step: float, weight: float, axis_weights: AxisWeights) -> None:
    for slab in _slabs(ahead):
        old = field[:, slab]
        updated = _gradient(ahead, slab, axis_weights).mul_(step).add_(old)
        z, y, x = updated
        length = (z * z).addcmul_(y, y).addcmul_(x, x).sqrt_()  # linalg.vector_norm over axis 0 is 100 times slower
        old.lerp_(updated.div_(length.div_(weight).clamp_min_(1)), RELAXATION)


def _gradient(x: Tensor, slab: slice, axis_weights: AxisWeights) -> Tensor:
    """(3, slab, y, x) weighted forward differences of the slab's slices, 0 beyond the volume."""
    part = x[slab]
    out = torch.zeros((3, *part.shape), dtype=x.dtype, device=x.device)
    above = x[slab.start + 1 : slab.stop + 1]
    torch.sub(above, part[: len(above)], out=out[0, : len(above)])
    torch.sub(part[:, 1:], part[:, :-1], out=out[1, :, :-1])
    torch.sub(part[:, :, 1:], part[:, :, :-1], out=out[2, :, :, :-1])
    for component, factor in zip(out, axis_weights, strict=True):
        component.mul_(factor)
    return out


def _divergence(field: Tensor, slab: slice, axis_weights: AxisWeights) -> Tensor:
    """(slab, y, x) divergence: minus the adjoint of :func:`_gradient`, restricted to the slab's slices."""
    z, y, x = axis_weights
    out = field[0, slab] * z
    below = field[0, max(slab.start - 1, 0) : slab.stop - 1]
    out[len(out) - len(below) :].sub_(below, alpha=z)
    rows, columns = field[1, slab], field[2, slab]
    out.add_(rows, alpha=y)
    out[:, 1:].sub_(rows[:, :-1], alpha=y)
    out.add_(columns, alpha=x)
    out[:, :, 1:].sub_(columns[:, :, :-1], alpha=x)
    return out


def _slabs(x: Tensor) -> Iterator[slice]:
    """Slabs of slices that fit into the cache."""
    depth, plane = x.shape[0], x.shape[1] * x.shape[2]
    height = max(1, _SLAB_ELEMENTS // plane)
    return (slice(first, min(first + height, depth)) for first in range(0, depth, height))
