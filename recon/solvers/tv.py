"""Total variation with data that count by their noise: a preconditioned primal-dual method.

    min over x ≥ 0 of  ½ Σ ((Ax − y)/σ)² + λ TV(x),   TV(x) = Σ ‖∇x‖₂ (isotropic, 3D)

Chambolle & Pock 2011 with the diagonal step sizes of Pock & Chambolle 2011 and over-relaxation (Condat
2013). All updates are in place and by slabs of a few slices: the method needs five volumes of memory, six where slices
have step sizes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.operator import LinearOperator

RELAXATION = 1.9
"""Over-relaxation of the iterates; the method converges below 2."""

_GRADIENT_SHARE = 0.1
_LEAST_ROW_SUM = 0.02
_SLAB_ELEMENTS = 2**20

AxisWeights = tuple[float, float, float]

TVCallback = Callable[[int, float, float], bool | None]
"""``callback(iteration, relative data residual, relative change of x)``; true stops."""


def tv_reconstruct(
    operator: LinearOperator,
    data: Tensor,
    sigma: Tensor | float,
    weight: float,
    axis_weights: AxisWeights,
    start: Tensor,
    balance: float,
    iterations: int,
    callback: TVCallback | None = None,
) -> Tensor:
    """Minimise the objective above.

    Args:
        operator: A, with non-negative entries (its row and column sums give the step sizes).
        data: y, (*range).
        sigma: standard deviation of the data, broadcastable to ``data``.
        weight: λ, in the reciprocal of x's unit.
        axis_weights: factors of the differences along z, y, x (pixel size over the axis' spacing).
        start: (z, y, x) first estimate, overwritten; any, but a near one saves iterations.
        balance: size of the error of ``start`` over that of the dual variable; trades the step sizes.
        iterations: most iterations.
        callback: called after each iteration.

    Returns:
        (z, y, x), the tensor ``start``.
    """
    x = start
    precision = torch.as_tensor(1 / sigma, dtype=data.dtype, device=data.device)
    steps = _step_sizes(operator, data, precision, axis_weights, balance)
    target = data * precision
    norm = float(data.norm()) or 1.0
    dual = torch.zeros_like(data)
    field = torch.zeros((3, *x.shape), dtype=x.dtype, device=x.device)
    for iteration in range(1, iterations + 1):
        gradient = operator.adjoint(dual * precision)
        change = _primal_step(x, gradient, field, steps.primal, axis_weights)
        ahead = gradient  # the step has turned it into 2 x⁺ − x
        error = operator(ahead).mul_(precision).sub_(target)
        residual = float((error / precision).norm()) / norm
        _data_step(dual, error, steps.data)
        _field_step(field, ahead, steps.field, weight, axis_weights)
        x.lerp_(ahead, RELAXATION / 2)  # x + ρ (x⁺ − x)
        if callback and callback(iteration, residual, change):
            break
    return x.clamp_min_(0)


@dataclass(frozen=True)
class _Steps:
    """Step sizes: ``primal`` (z, y, x) or (1, y, x), ``data`` broadcastable to the data, ``field`` a number."""

    primal: Tensor
    data: Tensor
    field: float


def _step_sizes(
    operator: LinearOperator, data: Tensor, precision: Tensor, axis_weights: AxisWeights, balance: float
) -> _Steps:
    """τ = b/Σ|K| over columns, σ = 1/(b Σ|K|) over rows (Pock & Chambolle 2011, eq. 10), K = [A/σ; s∇].

    s gives the gradient a fixed share of K; ``balance`` b is the size of x's error over that of its dual.
    """
    rows = _once(operator(data.new_ones(operator.domain)) * precision)
    columns = _once(operator.adjoint(data.new_ones(operator.range) * precision))
    share = _GRADIENT_SHARE * float(columns.max())
    primal = balance / (columns + share * 2 * sum(axis_weights))
    data_step = 1 / (balance * rows.clamp_min(_LEAST_ROW_SUM * float(rows.max())))
    return _Steps(primal, data_step, share / (2 * balance))


def _once(slices: Tensor) -> Tensor:
    """The first of slices that are all alike, else all of them."""
    return slices[:1].clone() if bool((slices == slices[:1]).all()) else slices


def _primal_step(x: Tensor, gradient: Tensor, field: Tensor, step: Tensor, axis_weights: AxisWeights) -> float:
    """Turns ``gradient`` (Aᵀ of the data dual) into 2 x⁺ − x, x⁺ = [x − τ(gradient − div field)]₊; ‖x⁺ − x‖/‖x‖."""
    change = norm = 0.0
    for slab in _slabs(x):
        ahead, old = gradient[slab], x[slab]
        ahead -= _divergence(field, slab, axis_weights)
        ahead.mul_(-(step if step.shape[0] == 1 else step[slab])).add_(old).clamp_min_(0)
        ahead -= old
        change += float(ahead.square().sum())
        norm += float(old.square().sum())
        ahead.mul_(2).add_(old)
    return (change / norm) ** 0.5 if norm else 1.0


def _data_step(dual: Tensor, error: Tensor, step: Tensor) -> None:
    """Relaxed dual step of ½‖·‖²: dual ← (1 − ρ) dual + ρ (dual + s error)/(1 + s)."""
    updated = error.mul_(step).add_(dual).div_(1 + step)
    dual.lerp_(updated, RELAXATION)


def _field_step(field: Tensor, ahead: Tensor, step: float, weight: float, axis_weights: AxisWeights) -> None:
    """Relaxed dual step of λ‖·‖₂: field ← (1 − ρ) field + ρ P(field + s ∇ahead), P onto balls of radius λ."""
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
