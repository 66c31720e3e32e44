"""Simultaneous iterations on a part of the views at a time: SART and ordered-subsets SIRT.

    x ← [x + λ Cₛ Aₛᵀ Rₛ (yₛ − Aₛ x)]₊   for the subsets s of the views, one after another

Rₛ and Cₛ hold the inverse row and column sums of Aₛ. With one view a subset this is SART (Andersen & Kak 1984,
Ultrason Imaging 6:81); with one subset of all views it is SIRT. A pass over few subsets brings the image as far as
about as many of SIRT's iterations (Hudson & Larkin 1994, IEEE Trans Med Imaging 13:601).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from physics.operator import LinearOperator
from recon.solvers.krylov import Callback, safe_ratio

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Subset:
    """Some of the views.

    Attributes:
        part: the views, a slice of the data's axis before the last.
        operator: operator of these views.
    """

    part: slice
    operator: LinearOperator


def subsets_of(operator: LinearOperator, count: int) -> list[Subset]:
    """Every ``count``-th view from a first one on, ordered so that neighbouring subsets are far apart.

    Their operators last as long as the list, and are not built anew for slabs of the same measurement.

    Args:
        operator: A, with data (..., views, cells).
        count: number of subsets; at most as many as there are views.

    Raises:
        ValueError: the operator's data are not views.
    """
    count = min(count, operator.range[-2] if len(operator.range) > 1 else 1)
    place = (torch.arange(count, dtype=torch.float64) * _GOLDEN) % 1
    parts = (slice(int(first), None, count) for first in place.argsort().argsort())
    return [Subset(part, operator.views(part)) for part in parts]


def ordered_subsets(
    subsets: list[Subset],
    data: Tensor,
    start: Tensor,
    iterations: int,
    relaxation: float = 1.0,
    callback: Callback | None = None,
) -> Tensor:
    """Run passes over all subsets.

    Args:
        subsets: the subsets of the views, whose operators have non-negative entries.
        data: y, (..., views, cells), all views.
        start: first estimate, (..., *domain), overwritten.
        iterations: most passes over all views.
        relaxation: λ, above 0 and below 2.
        callback: called after each pass with its number and the residual, each view's as it was before the step that
            used it; true stops.

    Returns:
        (..., *domain), the tensor ``start``.
    """
    x, weights = start, [_inverse_sums(subset, data) for subset in subsets]
    residual = torch.empty_like(data)
    for iteration in range(1, iterations + 1):
        for subset, (rows, columns) in zip(subsets, weights, strict=True):
            error = data[..., subset.part, :] - subset.operator(x)
            residual[..., subset.part, :] = error
            x.addcmul_(columns, subset.operator.adjoint(error.mul_(rows)), value=relaxation).clamp_min_(0)
        if callback and callback(iteration, residual):
            break
    return x


def _inverse_sums(subset: Subset, data: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse row and column sums, 0 where the sums are 0."""
    sums = (
        subset.operator(data.new_ones(subset.operator.domain)),
        subset.operator.adjoint(data.new_ones(subset.operator.range)),
    )
    rows, columns = (_once(safe_ratio(torch.ones_like(each), each)) for each in sums)
    return rows, columns


def _once(slices: Tensor) -> Tensor:
    """The first of slices that are all alike, else all of them."""
    return slices[:1].clone() if bool((slices == slices[:1]).all()) else slices
