"""Regularisation weights by cross-validation: the weight whose image foretells samples that it was not shown.

No noise level is needed: a small weight fits the noise of the samples that are shown, a large one does not fit these
either, and both foretell others badly (Ward 2009, IEEE Trans Inf Theory 55:5773).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from physics.mr.masks import calibration_width
from physics.operator import LinearOperator
from recon.scan.measurement import Measurement
from recon.solvers.slabs import Monitor, zero_filled

SolveWith = Callable[[LinearOperator, Tensor, Monitor, float], Tensor]
"""(A, b, monitor, weight) to an image."""

_SHARE = 0.1
"""Share of the samples that are held out. Those of the fully sampled centre are not: no method is in doubt of them."""

_LEAST = 16
"""Samples below which no weight is told by those that are held out."""


def held_out_weight(measurement: Measurement, solve: SolveWith, weights: Sequence[float]) -> float | None:
    """The weight, between ascending ones, that foretells held-out samples of the middle slice of k-space best.

    Args:
        measurement: MR measurement.
        solve: solver of a slab for a weight.
        weights: weights to try, ascending and evenly spaced in their logarithm.

    Returns:
        The weight; None where nothing can be held out, as of fully sampled k-space.
    """
    split = held_out(measurement)
    if split is None:
        return None
    left, away = split
    slab = middle_slice(measurement)
    problem = slab.operator.keeping(left).equivalent_problem(slab.y * left)
    errors = []
    for weight in weights:
        image = solve(*problem, _told_nobody, weight)
        errors.append(float((slab.operator(image) - slab.y)[..., away].abs().square().sum()))
    return _lowest(weights, errors)


def held_out_over_peak(
    measurement: Measurement, solve: SolveWith, over_sigma: Sequence[float], over_peak: Sequence[float]
) -> float | None:
    """As :func:`held_out_weight`, of a weight over max|Aᴴy|; None for noise-free data and for one coil too.

    Neighbouring samples of one coil tell nothing of each other but what the prior says, so that too large a weight
    foretells them best; those of several coils do.

    Args:
        measurement: MR measurement.
        solve: solver of a slab for a weight in the image's unit.
        over_sigma: weights over the noise to try where it is known, ascending and evenly spaced in their logarithm.
        over_peak: weights over max|Aᴴy| to try where it is not.
    """
    if measurement.noise_free or measurement.y.shape[1] == 1:
        return None
    direct, sigma = zero_filled(measurement), measurement.noise_level
    peak = float(torch.hypot(direct.real, direct.imag).amax())
    if peak == 0:
        return None
    weights = [factor * sigma for factor in over_sigma] if sigma else [factor * peak for factor in over_peak]
    found = held_out_weight(measurement, solve, weights)
    return None if found is None else found / peak


def held_out(measurement: Measurement) -> tuple[Tensor, Tensor] | None:
    """(y, x) bool masks of the samples that are left and of those that are held out, always the same ones.

    Whole columns are held out where whole columns were sampled. None where samples lie on no grid, or all of them in a
    fully sampled centre.
    """
    mask = measurement.operator.mask
    if mask is None or mask.ndim != 2:
        return None
    rows, columns = mask.shape
    whole_columns = bool((mask == mask[:1]).all())
    width = calibration_width(mask)
    top, first = rows // 2 - (width + 1) // 2, columns // 2 - (width + 1) // 2
    outside = mask.cpu().clone()
    outside[slice(None) if whole_columns else slice(top, top + width + 1), first : first + width + 1] = False
    places = outside[:1] if whole_columns else outside
    candidates = places.flatten().nonzero().flatten()
    count = max(1, round(_SHARE * len(candidates)))
    chosen = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(0))[:count]
    drawn = torch.zeros(places.numel(), dtype=torch.bool)
    drawn[candidates[chosen]] = True
    away = drawn.reshape(places.shape).expand(rows, columns).clone().to(mask.device)
    return (mask & ~away, away) if int(away.sum()) >= _LEAST else None


def middle_slice(measurement: Measurement) -> Measurement:
    """The slice with the most signal among the middle half, or all of them where the operator couples them."""
    if not measurement.operator.separable:
        return measurement
    depth = len(measurement.y)
    first, last = depth // 4, max(depth // 4 + 1, depth - depth // 4)
    power = torch.view_as_real(measurement.y[first:last]).square().flatten(1).sum(1)
    chosen = first + int(power.argmax())
    return measurement.slices(slice(chosen, chosen + 1))


def _lowest(weights: Sequence[float], errors: Sequence[float]) -> float:
    """The weight at the lowest error, by a parabola through it and its neighbours over the weights' logarithm."""
    best = min(range(len(errors)), key=errors.__getitem__)
    if not 0 < best < len(errors) - 1:
        return weights[best]
    before, here, after = (math.log(max(error, 1e-300)) for error in errors[best - 1 : best + 2])
    bend = before - 2 * here + after
    move = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return weights[best] * (weights[best + 1] / weights[best]) ** move


def _told_nobody(iteration: int, residual: float) -> bool:
    return False
