"""Total variation with data that count by their noise: a preconditioned primal-dual method.

    min over x ≥ 0 of  ½ Σ ((Ax − y)/σ)² + λ TV(x),   TV(x) = Σ ‖∇x‖₂ (isotropic, 3D)

Chambolle & Pock 2011 with the diagonal step sizes of Pock & Chambolle 2011 and over-relaxation (Condat
2013). All updates are in place and by slabs of a few slices: the method needs five volumes of memory, six where slices
have step sizes of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.operator import LinearOperator
from recon.solvers.tv_steps import RELAXATION, AxisWeights, field_step, primal_step

_GRADIENT_SHARE = 0.1
_LEAST_ROW_SUM = 0.02

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
        change = primal_step(x, gradient, field, steps.primal, axis_weights)
        ahead = gradient  # the step has turned it into 2 x⁺ − x
        error = operator(ahead).mul_(precision).sub_(target)
        residual = float((error / precision).norm()) / norm
        _data_step(dual, error, steps.data)
        field_step(field, ahead, steps.field, weight, axis_weights)
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


def _data_step(dual: Tensor, error: Tensor, step: Tensor) -> None:
    """Relaxed dual step of ½‖·‖²: dual ← (1 − ρ) dual + ρ (dual + s error)/(1 + s)."""
    updated = error.mul_(step).add_(dual).div_(1 + step)
    dual.lerp_(updated, RELAXATION)
