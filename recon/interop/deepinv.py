"""Operators as linear physics of deepinv (Tachella et al. 2025, https://deepinv.github.io), and these as operators.

deepinv has batch and channel in front and knows no complex numbers: a complex image (z, y, x) is (B, 2, z, y, x), its
real and imaginary parts, and a real one (B, 1, z, y, x). Data follow the same rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from physics.operator import LinearOperator, Shape

if TYPE_CHECKING:
    from deepinv.physics import LinearPhysics


def as_deepinv(operator: LinearOperator, **options: Any) -> LinearPhysics:
    """An operator as ``deepinv.physics.LinearPhysics``: ``A`` and its exact adjoint, with gradients through both.

    Args:
        operator: the operator; its device is that of the physics.
        options: arguments of ``LinearPhysics``, such as ``noise_model``, ``max_iter`` and ``solver``.

    Raises:
        ImportError: deepinv is not installed.
    """
    from deepinv.physics import LinearPhysics

    channels = 2 if operator.is_complex else 1
    return LinearPhysics(
        A=lambda x, **_: _to_channels(operator(_from_channels(x, operator.is_complex))),
        A_adjoint=lambda y, **_: _to_channels(operator.adjoint(_from_channels(y, operator.is_complex))),
        img_size=(channels, *operator.domain),
        device=operator.device,
        **options,
    )


def from_deepinv(
    physics: LinearPhysics, domain: Shape, *, is_complex: bool = False, volumetric: bool = False
) -> LinearOperator:
    """A linear physics of deepinv as an operator on (z, y, x) images.

    Args:
        physics: the physics; of two-dimensional images, or of volumes.
        domain: shape (z, y, x) of an image.
        is_complex: whether its images and data are complex, two channels there.
        volumetric: whether it maps volumes (B, C, z, y, x); otherwise each slice is mapped by itself, (B, C, y, x).
    """
    return _OfDeepinv(physics, domain, is_complex, volumetric)


class _OfDeepinv(LinearOperator):
    """A physics of deepinv; the data's own axes stand behind z, or alone where it maps volumes.

    Attributes:
        physics: the physics.
        volumetric: whether it maps volumes.
    """

    def __init__(self, physics: Any, domain: Shape, is_complex: bool, volumetric: bool) -> None:
        self.physics, self.volumetric, self.separable = physics, volumetric, not volumetric
        self.domain = domain
        self.dtype = torch.complex64 if is_complex else torch.float32
        with torch.no_grad():
            data = self._map(torch.zeros(domain, dtype=self.dtype), physics.A)
        self.range = tuple(data.shape)

    def _forward(self, x: Tensor) -> Tensor:
        return self._batched(x, self.domain, self.physics.A)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._batched(y, self.range, self.physics.A_adjoint)

    def _slices(self, part: slice) -> LinearOperator:
        z = len(range(*part.indices(self.domain[0])))
        return _OfDeepinv(self.physics, (z, *self.domain[1:]), self.is_complex, self.volumetric)

    def _batched(self, x: Tensor, shape: tuple[int, ...], mapping: Any) -> Tensor:
        flat = x.reshape(-1, *shape)
        mapped = torch.stack([self._map(each, mapping) for each in flat])
        return mapped.reshape(*x.shape[: x.ndim - len(shape)], *mapped.shape[1:])

    def _map(self, x: Tensor, mapping: Any) -> Tensor:
        """One scan by the physics, in its own precision: its slices are the batch, or the whole is one volume."""
        given = x.to(self.dtype)
        mapped = _from_channels(mapping(_to_channels(given[None] if self.volumetric else given)), self.is_complex)
        return (mapped[0] if self.volumetric else mapped).to(x.dtype)


def _to_channels(x: Tensor) -> Tensor:
    """(B, *shape) as (B, channels, *shape): real and imaginary parts of complex numbers."""
    return torch.view_as_real(x).movedim(-1, 1).contiguous() if x.is_complex() else x[:, None]


def _from_channels(x: Tensor, is_complex: bool) -> Tensor:
    """The reverse of :func:`_to_channels`.

    Raises:
        ValueError: another number of channels.
    """
    channels = 2 if is_complex else 1
    if x.shape[1] != channels:
        raise ValueError(f"`physics`: has {x.shape[1]} channels; {channels} are wanted, see `is_complex`")
    return torch.view_as_complex(x.movedim(1, -1).contiguous()) if is_complex else x[:, 0]
