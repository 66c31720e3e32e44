"""How a reconstruction explains the data: the residual, and its distribution against the deviation of the data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recon.scan.measurement import Measurement
from recon.solvers.slabs import in_slabs

EDGES = tuple(step / 4 for step in range(-20, 21))
"""Edges of the histogram's bins, in deviations; what lies beyond counts in the first and the last bin."""

FAR_ABOVE, FAR_BELOW = 2.0, 0.25
"""Root mean square of (Ax − y)/σ beyond which a notice is given. With fewer data than voxels, even a good image
takes up much of the noise, so the lower bound is far from 1."""


@dataclass(frozen=True)
class Residual:
    """The residual Ax − y of an image.

    Attributes:
        relative: ‖Ax − y‖/‖y‖.
        deviations: root mean square of (Ax − y)/σ over the measured data; None where nothing is known of σ.
        counts: number of data in each bin between ``EDGES`` of (Ax − y)/σ; of complex data, real and imaginary parts
            count each, over σ/√2. Empty where nothing is known of σ.
    """

    relative: float
    deviations: float | None = None
    counts: tuple[int, ...] = ()


def residual_of(measurement: Measurement, image: Tensor) -> Residual:
    """The residual of an image in the operator's unit, (z, y, x)."""
    image, power, squares, number = image.to(measurement.y.dtype), 0.0, 0.0, 0
    counts = torch.zeros(len(EDGES) - 1, dtype=torch.float64)
    for part, slab in in_slabs(measurement):
        error = slab.operator(image[part]) - slab.y
        power += float(error.norm().square())
        if slab.sigma is not None:
            ratios = _over_deviation(error, slab)
            squares += float(ratios.double().square().sum())
            number += ratios.numel()
            counts += torch.histogram(ratios.clamp(EDGES[0], EDGES[-1]).float().cpu(), _edges())[0].double()
    relative = (power / max(float(measurement.y.norm().square()), 1e-30)) ** 0.5
    if not number:
        return Residual(relative)
    return Residual(relative, (squares / number) ** 0.5, tuple(int(count) for count in counts))


def notice_of(residual: Residual, noisy: bool = True) -> tuple[str, ...]:
    """A line about a residual that does not go with the deviation that was taken; none where it does.

    Args:
        residual: the residual.
        noisy: whether that deviation is mostly one of noise. Of what is left of a model error only a share counts,
            which residuals may well exceed.
    """
    found = residual.deviations
    if found is None or not noisy or FAR_BELOW <= found <= FAR_ABOVE:
        return ()
    if found > FAR_ABOVE:
        meaning = "the image explains the data worse than their noise asks, or the noise was taken too small"
    else:
        meaning = "noise was fitted, or was taken too large"
    return (f"the residual is {found:.2g} times the deviation that was taken of the data: {meaning}",)


def _over_deviation(error: Tensor, slab: Measurement) -> Tensor:
    """(Ax − y)/σ of the measured data, (n,) real."""
    sigma = torch.as_tensor(slab.sigma, dtype=torch.float32, device=error.device).expand(error.shape)
    measured = sigma > 0
    if slab.operator.mask is not None:
        measured = measured & slab.operator.mask.to(error.device).expand(error.shape)
    ratios = error[measured] / sigma[measured]
    return torch.view_as_real(ratios).flatten() * 2**0.5 if ratios.is_complex() else ratios


def _edges() -> Tensor:
    return torch.tensor(EDGES, dtype=torch.float32)
