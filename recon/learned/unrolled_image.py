"""Unrolled networks on measurements: the units, the operators and the data-consistency steps that they are run with.

Training and reconstruction share this: in training the gradient flows through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from physics.operator import LinearOperator
from priors.networks.unrolled import LearnedPrimalDual, MoDL
from recon.scan.measurement import Measurement
from recon.scan.units import ATTENUATION_UNIT
from recon.solvers.krylov import cg, problem_axes

DataStep = Callable[[Tensor, Tensor], Tensor]
"""(denoised (n, 2, y, x), weight) to argmin ‖Ax − y‖² + weight ‖x − denoised‖²."""

_CG_ITERATIONS = 12


def primal_dual_image(net: LearnedPrimalDual, measurement: Measurement, start: Tensor) -> Tensor:
    """Attenuation (z, y, x) in 1/mm by learned primal-dual iterations.

    Args:
        net: network in eval mode, or in training.
        measurement: CT measurement; the network sees its operator scaled to norm 1.
        start: (z, y, x) first image in 1/mm.
    """
    # The network has learned no zeros in the middle of data: what was not measured is filled in for it.
    operator, y = measurement.operator.completed(measurement.y)
    norm = operator.norm_bound
    data = y / (ATTENUATION_UNIT * norm)
    image = net(
        start[:, None] / ATTENUATION_UNIT,
        data[:, None],
        lambda x: _in_full_precision(operator, x[:, 0])[:, None] / norm,
        lambda y: _in_full_precision(operator.H, y[:, 0])[:, None] / norm,
    )
    return image[:, 0].float() * ATTENUATION_UNIT


def _in_full_precision(operator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with full_precision(x.device):
        return operator(x.float())


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Operators compute in float32 where the networks around them use less."""
    with torch.autocast(device.type, enabled=False):
        yield


def modl_image(net: MoDL, measurement: Measurement, start: Tensor, scale: float) -> Tensor:
    """Complex image (z, y, x) by MoDL.

    Args:
        net: network in eval mode, or in training.
        measurement: MR measurement.
        start: (z, y, x) complex first image.
        scale: magnitude that the network calls 1.
    """
    step = data_step(measurement.operator, measurement.y / scale)
    image = net(_as_channels(start / scale), step)
    return _as_complex(image.float()) * scale


def data_step(operator: LinearOperator, data: Tensor) -> DataStep:
    """The data-consistency step of an encoding: in closed form where there is one, else by conjugate gradients.

    Args:
        operator: A, of images (z, y, x).
        data: y, (*range).
    """
    adjoint, gram = operator.adjoint(data), operator.gram

    def step(denoised: Tensor, weight: Tensor) -> Tensor:
        with full_precision(denoised.device):
            start, weight = _as_complex(denoised.float()), weight.float()
            rhs = adjoint + weight * start
            image = operator.solve_normal(rhs, weight)
            if image is None:
                image = cg(lambda x: gram(x) + weight * x, rhs, start, _CG_ITERATIONS, problem_axes(operator))
            return _as_channels(image)

    return step


def _as_channels(image: Tensor) -> Tensor:
    """(z, y, x) complex to (z, 2, y, x)."""
    return torch.view_as_real(image).movedim(-1, 1).contiguous()


def _as_complex(channels: Tensor) -> Tensor:
    """(z, 2, y, x) to (z, y, x) complex."""
    return torch.complex(channels[:, 0], channels[:, 1])
