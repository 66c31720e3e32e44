"""Iterative solvers as plain functions on a linear operator.

Whatever is a problem of its own gets its own step lengths (CG, CGLS): every element of a batch, and every slice where
the operator is separable. Inner products run over the axes of one problem only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from physics.operator import LinearOperator

Callback = Callable[[int, Tensor], bool | None]
"""``callback(iteration, state)``; a true value stops the iteration."""

SystemCallback = Callable[[int, Tensor, Tensor], bool | None]
"""``callback(iteration, x, rhs − B x)`` of a system of equations; a true value stops the iteration."""

_ROUNDING = 16
"""A gradient below this many machine epsilons of the first one is rounding, and no direction to go in."""


def inner(a: Tensor, b: Tensor, axes: int) -> Tensor:
    """Re⟨a, b⟩ over the last ``axes`` axes, kept as size 1 so that it scales a batch."""
    dims = tuple(range(-axes, 0))
    product = torch.real(a.conj() * b) if a.is_complex() else a * b
    return product.sum(dim=dims, keepdim=True)


def problem_axes(operator: LinearOperator) -> int:
    """Number of the domain's trailing axes that make one problem: those of a slice where the operator is separable."""
    return len(operator.domain) - operator.separable


def cg(
    apply: Callable[[Tensor], Tensor],
    rhs: Tensor,
    start: Tensor,
    iterations: int,
    axes: int,
    tolerance: float = 0.0,
    callback: SystemCallback | None = None,
) -> Tensor:
    """Conjugate gradients for B x = rhs with B Hermitian and positive (Hestenes & Stiefel 1952).

    Args:
        apply: x -> B x.
        rhs: right-hand side, (..., domain).
        start: first estimate.
        iterations: most iterations.
        axes: number of trailing axes that make one problem; the others are a batch.
        tolerance: a problem is left alone once ‖rhs − B x‖ ≤ tolerance · ‖rhs‖, at the latest when that is rounding;
            when every one is, it stops.
        callback: called after each iteration with the estimate and its residual.
    """
    x = start.clone()
    residual = rhs - apply(x)
    direction = residual.clone()
    power = inner(residual, residual, axes)
    # Going on with a residual that is rounding would divide rounding by rounding, and a singular B amplifies that.
    # Rounding is relative to the larger of what the residual is the difference of: rhs may be zero, as of empty slices.
    square, image = inner(rhs, rhs, axes), rhs - residual
    rounding = (_ROUNDING * torch.finfo(power.dtype).eps) ** 2 * torch.maximum(square, inner(image, image, axes))
    limit = torch.maximum(tolerance**2 * square, rounding)
    for iteration in range(1, iterations + 1):
        active = power > limit
        if not bool(active.any()):
            break
        image = apply(direction)
        step = torch.where(active, safe_ratio(power, inner(direction, image, axes)), 0)
        x = x + step * direction
        residual = residual - step * image
        new_power = inner(residual, residual, axes)
        direction = residual + safe_ratio(new_power, power) * direction
        power = new_power
        if callback and callback(iteration, x, residual):
            break
    return x


def cgls(
    operator: LinearOperator,
    data: Tensor,
    iterations: int,
    damping: float = 0.0,
    callback: Callback | None = None,
) -> Tensor:
    """min ½‖Ax − y‖² + ½ damping ‖x‖² from zero, by CG on the normal equations (Björck 1996, algorithm 7.4.1).

    Args:
        operator: A.
        data: y, (..., *range).
        iterations: most iterations; few of them regularise by themselves.
        damping: Tikhonov weight.
        callback: called after each iteration with the residual y − Ax; true stops.
    """
    axes, data_axes = problem_axes(operator), len(operator.range) - operator.separable
    residual = data.clone()
    gradient = operator.adjoint(residual)
    x = torch.zeros_like(gradient)
    direction = gradient.clone()
    power = inner(gradient, gradient, axes)
    rounding = (_ROUNDING * torch.finfo(power.dtype).eps) ** 2
    # Aᵀ's rounding is in proportion to ‖A‖‖y‖, and Aᵀy may be far less: data nearly orthogonal to A's range.
    data_power, solved = inner(data, data, data_axes).reshape(power.shape), rounding * power
    for iteration in range(1, iterations + 1):
        image = operator(direction)
        length = inner(direction, direction, axes)
        curvature = inner(image, image, data_axes).reshape(power.shape)
        solved = torch.maximum(solved, rounding * data_power * safe_ratio(curvature, length))
        step = safe_ratio(power, curvature + damping * length)
        x += step * direction
        residual -= step.reshape(*step.shape[:-axes], *[1] * data_axes) * image
        gradient = operator.adjoint(residual) - damping * x
        new_power = inner(gradient, gradient, axes)
        new_power = torch.where(new_power > solved, new_power, 0)  # a solved problem stays where it is
        direction = gradient + safe_ratio(new_power, power) * direction
        power = new_power
        if callback and callback(iteration, residual):
            break
    return x


def sirt(operator: LinearOperator, data: Tensor, iterations: int, callback: Callback | None = None) -> Tensor:
    """SIRT from zero with non-negativity: x ← [x + C Aᵀ R (y − Ax)]₊, C and R the inverse column and row sums
    (Gregor & Benson 2008, eq. 3). ``callback`` gets the residual y − Ax; true stops."""
    ones_image = data.new_ones(operator.domain)
    row_sums = operator(ones_image)
    column_sums = operator.adjoint(torch.ones_like(row_sums))
    rows, columns = safe_ratio(torch.ones_like(row_sums), row_sums), safe_ratio(ones_image, column_sums)
    x = data.new_zeros((*data.shape[: data.ndim - len(operator.range)], *operator.domain))
    residual = data.clone()
    for iteration in range(1, iterations + 1):
        x += columns * operator.adjoint(rows * residual)
        x.clamp_min_(0)
        residual = data - operator(x)
        if callback and callback(iteration, residual):
            break
    return x


def safe_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator, 0 where the denominator is 0 (a solved slice, a ray that misses the image)."""
    return torch.where(denominator > 0, numerator / denominator.clamp_min(torch.finfo(denominator.dtype).tiny), 0.0)
