"""L1-wavelet compressed sensing: ½‖Ax − y‖² + λ‖Wx‖₁ by accelerated proximal gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from recon.measurement import Measurement, Reconstruction, RunContext
from recon.methods import Method
from recon.slicewise import Report, SliceProblem, solve_slicewise, zero_filled
from recon.wavelets import WaveletTransform

NOISE_FREE_WEIGHT = 0.001
NOISE_FACTOR = 1.0
_GROUP = 2  # slices transformed at once: more no longer fit a core's cache


@dataclass(frozen=True)
class L1WaveletOptions:
    """Options of ``l1-wavelet``."""

    weight: float | None = field(default=None, metadata={"help": "x"})
    iterations: int = field(default=200, metadata={"help": "x"})
    tolerance: float = field(default=1e-3, metadata={"help": "x"})
    wavelet: str = field(default="db4", metadata={"help": "x"})


def run(measurement: Measurement, options: L1WaveletOptions, context: RunContext) -> Reconstruction:
    """Reconstruct each slice; the threshold is one for the volume."""
    peak = float(zero_filled(measurement).abs().amax())
    weight = options.weight * peak
    transform = WaveletTransform(tuple(measurement.y.shape[-2:]), options.wavelet, measurement.y.device)
    solve = partial(
        fista, transform=transform, weight=weight, iterations=options.iterations, tolerance=options.tolerance
    )
    return solve_slicewise(measurement, context, options.iterations, solve)


def fista(
    problem: SliceProblem,
    report: Report,
    transform: WaveletTransform,
    weight: float,
    iterations: int,
    tolerance: float,
) -> Tensor:
    operator, step = problem.operator, problem.step
    image = torch.zeros_like(problem.zero_filled)
    residual = -problem.data
    point, point_residual = image, residual
    momentum = image.real.new_ones((image.shape[0], 1, 1))
    for iteration in range(1, iterations + 1):
        gradient = operator.adjoint(point_residual)
        new = shrink(point - step * gradient, transform, step * weight)
        change = new - image
        # O'Donoghue & Candès 2015, eq. 13: momentum that points uphill is dropped, slice by slice.
        uphill = ((point - new) * change.conj()).real.sum((-2, -1), keepdim=True) > 0
        momentum = torch.where(uphill, 1.0, momentum)
        grown = (1 + (1 + 4 * momentum**2).sqrt()) / 2
        beta = (momentum - 1) / grown
        momentum = grown
        new_residual = operator(new) - problem.data
        point = new + beta * change
        point_residual = new_residual + beta.unsqueeze(-1) * (new_residual - residual)
        image, residual = new, new_residual
        report(iteration, float(torch.linalg.vector_norm(residual)))
        moved = _norms(change) / _norms(image).clamp_min(1e-30)
        if float(moved.amax()) < tolerance:
            break
    return image


def shrink(image: Tensor, transform: WaveletTransform, threshold: float) -> Tensor:
    parts = []
    for group in image.split(_GROUP):
        coefficients = transform.analyse(group)
        parts.append(transform.synthesise([soft_threshold(c, threshold) for c in coefficients]))
    return torch.cat(parts)


def soft_threshold(values: Tensor, threshold: float) -> Tensor:
    """Shrink the modulus of complex values by ``threshold``, keeping their phase."""
    modulus = torch.view_as_real(values).square().sum(-1).sqrt_()
    return values * (1 - threshold / modulus.clamp_min(threshold))


def _norms(images: Tensor) -> Tensor:
    return torch.linalg.vector_norm(images, dim=(-2, -1))


METHOD = Method("x", "y", L1WaveletOptions, run)
