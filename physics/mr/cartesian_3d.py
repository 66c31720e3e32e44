"""3D-encoded Cartesian MR: the centred FFT along three axes, coil sensitivities and a mask of any form.

Where an axis of k-space is sampled in full (the readout always is), an inverse FFT along it makes independent slices of
the data, and :class:`physics.mr.cartesian.CartesianMR` is the cheaper operator: :func:`separated` finds that axis.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physics.mr.encoding import EncodingWithGram, check_maps, from_coils, largest_sensitivity, to_coils
from physics.operator import Shape

_AXES = (-4, -2, -1)


def fft3c(volume: Tensor) -> Tensor:
    """Centred orthonormal FFT along z, y and x: (..., z, coils, y, x) to the same shape."""
    spectrum = torch.fft.fftn(torch.fft.ifftshift(volume, dim=_AXES), dim=_AXES, norm="ortho")
    return torch.fft.fftshift(spectrum, dim=_AXES)


def ifft3c(kspace: Tensor) -> Tensor:
    """Inverse (and adjoint) of :func:`fft3c`."""
    volume = torch.fft.ifftn(torch.fft.ifftshift(kspace, dim=_AXES), dim=_AXES, norm="ortho")
    return torch.fft.fftshift(volume, dim=_AXES)


class Cartesian3D(EncodingWithGram):
    """A = M F S: coil sensitivities, the centred 3D FFT and a mask that is the same for every coil.

    Maps (z, y, x) complex volumes to (kz, coils, ky, kx), zero where not sampled. Slices are coupled.

    Args:
        mask: (kz, ky, kx) bool, True where sampled.
        coil_maps: (z, coils, y, x) complex sensitivities, or None for one uniform coil.

    Raises:
        ValueError: a mask that is not (kz, ky, kx) bool or samples nothing, or maps of another shape.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, coil_maps: Tensor | None = None) -> None:
        if mask.ndim != 3 or mask.dtype != torch.bool:
            raise ValueError(f"the mask must be (kz, ky, kx) bool, not {mask.dtype} of shape {tuple(mask.shape)}")
        if not mask.any():
            raise ValueError("the mask is empty: it samples nothing")
        check_maps(coil_maps, tuple(mask.shape[1:]), len(mask))
        self.mask, self.coil_maps, self.device = mask[:, None], coil_maps, mask.device
        self.dtype = torch.complex64 if coil_maps is None else coil_maps.dtype
        self.domain: Shape = tuple(mask.shape)
        self.range: Shape = (len(mask), 1 if coil_maps is None else coil_maps.shape[1], *mask.shape[1:])
        self._weights = self.mask.to(torch.float32)
        self._unshifted = torch.fft.ifftshift(self._weights, dim=_AXES)

    def keeping(self, kept: Tensor) -> Cartesian3D:
        """The encoding with a smaller mask."""
        return Cartesian3D((self.mask & kept)[:, 0], self.coil_maps)

    def unmasked(self) -> Cartesian3D:
        """The encoding of the whole k-space."""
        return Cartesian3D(torch.ones_like(self.mask[:, 0]), self.coil_maps)

    def _norm_bound(self) -> float:
        return largest_sensitivity(self.coil_maps)

    def solve_normal(self, rhs: Tensor, weight: Tensor | float) -> Tensor | None:
        """Of one uniform coil AᴴA is the mask in k-space, so that its regularised inverse is a division there."""
        if self.coil_maps is not None:
            return None
        return from_coils(ifft3c(fft3c(to_coils(rhs, None)) / (self._weights + weight)), None)

    def apply_gram(self, x: Tensor) -> Tensor:
        """AᴴA x without the shifts of the transforms, which cancel."""
        waves = torch.fft.fftn(to_coils(x, self.coil_maps), dim=_AXES, norm="ortho")
        return from_coils(torch.fft.ifftn(waves * self._unshifted, dim=_AXES, norm="ortho"), self.coil_maps)

    def _forward(self, x: Tensor) -> Tensor:
        return fft3c(to_coils(x, self.coil_maps)) * self._weights

    def _adjoint(self, y: Tensor) -> Tensor:
        return from_coils(ifft3c(y * self._weights), self.coil_maps)


def separated(mask: Tensor) -> int | None:
    """The axis of a (kz, ky, kx) mask along which all or nothing is sampled, kx first; None where there is none."""
    for axis in (2, 1, 0):
        if bool((mask.all(axis) == mask.any(axis)).all()):
            return axis
    return None
