"""Unrolled networks on measurements: the units, the operators and the data steps that they are run with.

Training and reconstruction share this: in training the gradient flows through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from physics.mr.cartesian import CartesianMR, fft2c, ifft2c
from priors.networks.unrolled import LearnedPrimalDual, MoDL
from recon.scan.measurement import Measurement
from recon.scan.units import ATTENUATION_UNIT
from recon.solvers.ct_slices import projector_of
from recon.solvers.krylov import cg
from recon.solvers.mr_slices import encoding_of

DataStep = Callable[[Tensor, Tensor], Tensor]
"""(denoised (n, 2, y, x), weight) to argmin ‖Ax − y‖² + weight ‖x − denoised‖²."""

_CG_ITERATIONS = 12


def primal_dual_image(net: LearnedPrimalDual, measurement: Measurement, start: Tensor, norm: float) -> Tensor:
    """Attenuation (z, y, x) in 1/mm by learned primal-dual iterations.

    Args:
        net: in eval mode, or in training.
        measurement: of a projector.
        start: (z, y, x) first image in 1/mm.
        norm: ‖A‖ of the projector, see :func:`recon.solvers.krylov.power_iteration`.
    """
    projector = projector_of(measurement)
    data = measurement.y / (ATTENUATION_UNIT * norm)
    image = net(
        start[:, None] / ATTENUATION_UNIT,
        data[:, None],
        lambda x: _in_full_precision(projector, x) / norm,
        lambda y: _in_full_precision(projector.H, y) / norm,
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
        net: in eval mode, or in training.
        measurement: of a Cartesian encoding.
        start: (z, y, x) complex first image.
        scale: magnitude that the network calls 1.
    """
    encoding = encoding_of(measurement)
    data = measurement.y / scale
    step = single_coil_step(encoding, data) if encoding.coil_maps is None else coil_step(encoding, data)
    image = net(_as_channels(start / scale), step)
    return _as_complex(image.float()) * scale


def single_coil_step(encoding: CartesianMR, data: Tensor) -> DataStep:
    """The exact data step where AᴴA is a mask in k-space; ``data`` (z, 1, y, x)."""
    mask, samples = encoding.mask, data[:, 0]

    def step(denoised: Tensor, weight: Tensor) -> Tensor:
        with full_precision(denoised.device):
            kspace = fft2c(_as_complex(denoised.float()))
            weight = weight.float()
            mixed = torch.where(mask, (samples + weight * kspace) / (1 + weight), kspace)
            return _as_channels(ifft2c(mixed))

    return step


def coil_step(encoding: CartesianMR, data: Tensor) -> DataStep:
    """The data step of several coils, by conjugate gradients; ``data`` (z, coils, y, x)."""
    adjoint = encoding.adjoint(data)

    def step(denoised: Tensor, weight: Tensor) -> Tensor:
        with full_precision(denoised.device):
            start, weight = _as_complex(denoised.float()), weight.float()
            image = cg(lambda x: encoding.gram(x) + weight * x, adjoint + weight * start, start, _CG_ITERATIONS, axes=2)
            return _as_channels(image)

    return step


def _as_channels(image: Tensor) -> Tensor:
    """(z, y, x) complex to (z, 2, y, x)."""
    return torch.view_as_real(image).movedim(-1, 1).contiguous()


def _as_complex(channels: Tensor) -> Tensor:
    """(z, 2, y, x) to (z, y, x) complex."""
    return torch.complex(channels[:, 0], channels[:, 1])
