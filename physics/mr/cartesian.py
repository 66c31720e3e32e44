"""Cartesian MR encoding: the centred orthonormal FFT, coil sensitivities and a sampling mask.

k-space is centred (zero frequency at index n // 2) and the transform is orthonormal, so that noise of a
given standard deviation in k-space has the same standard deviation in a fully sampled image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physics.operator import LinearOperator, Shape

_AXES = (-2, -1)


def fft2c(image: Tensor) -> Tensor:
    """Centred orthonormal 2D FFT over the last two axes, of any parity: (..., y, x) to (..., y, x)."""
    spectrum = torch.fft.fft2(torch.fft.ifftshift(image, dim=_AXES), norm="ortho")
    return torch.fft.fftshift(spectrum, dim=_AXES)


def ifft2c(kspace: Tensor) -> Tensor:
    """Inverse (and adjoint) of :func:`fft2c`: (..., y, x) to (..., y, x)."""
    image = torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=_AXES), norm="ortho")
    return torch.fft.fftshift(image, dim=_AXES)


class CartesianMR(LinearOperator):
    """A = M F S: coil sensitivities, centred FFT and a mask that is the same for every slice and coil.

    A volume (z, y, x) maps to k-space (z, coils, y, x) in either case: without coil maps the domain is
    one slice (y, x), the range (1, y, x), and z is a batch axis; with maps the domain is (z, y, x).

    Args:
        mask: (y, x) bool, True where sampled.
        coil_maps: (z, coils, y, x) complex sensitivities, or None for one uniform coil.

    Raises:
        ValueError: a mask that is not (y, x) bool or samples nothing, or maps of another (y, x).
    """

    is_complex = True

    def __init__(self, mask: Tensor, coil_maps: Tensor | None = None) -> None:
        if mask.ndim != 2 or mask.dtype != torch.bool:
            raise ValueError(f"the mask must be (y, x) bool, not {mask.dtype} of shape {tuple(mask.shape)}")
        if not mask.any():
            raise ValueError("the mask is empty: it samples nothing")
        if coil_maps is not None and (coil_maps.ndim != 4 or coil_maps.shape[-2:] != mask.shape):
            raise ValueError(
                f"the coil maps must be (z, coils, {mask.shape[0]}, {mask.shape[1]}) like the mask, "
                f"not {tuple(coil_maps.shape)}"
            )
        self.mask, self.coil_maps = mask, coil_maps
        self._weights = mask.to(torch.float32)  # multiplying complex by real is faster than by bool
        rows, columns = mask.shape
        self.domain: Shape = (rows, columns)
        self.range: Shape = (1, rows, columns)
        if coil_maps is not None:
            self.domain = (coil_maps.shape[0], rows, columns)
            self.range = tuple(coil_maps.shape)

    @property
    def norm_bound(self) -> float:
        """An upper bound of ‖A‖: the root of the largest Σ|S|² of a voxel; 1 for normalised maps."""
        if self.coil_maps is None:
            return 1.0
        return float(self.coil_maps.abs().square().sum(1).amax().sqrt())

    def slices(self, first: int, last: int) -> CartesianMR:
        """The encoding of the slices ``first`` to ``last`` (excluded) alone."""
        if self.coil_maps is None:
            return self
        return CartesianMR(self.mask, self.coil_maps[first:last])

    def without_shifts(self, y: Tensor) -> tuple[ShiftFreeMR, Tensor]:
        """An equivalent problem that is cheaper to iterate on: an operator B and data b with
        BᴴB = AᴴA, Bᴴb = Aᴴy and ‖Bx − b‖ = ‖Ax − y‖ for every x (``y`` zero where not sampled).

        Args:
            y: (z, coils, y, x) as :meth:`forward` gives it.
        """
        equivalent = ShiftFreeMR(self)
        return equivalent, equivalent.transform(ifft2c(y))

    def _forward(self, x: Tensor) -> Tensor:
        return fft2c(self._to_coils(x)) * self._weights

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._from_coils(ifft2c(y * self._weights))

    def _to_coils(self, x: Tensor) -> Tensor:
        coils = x.unsqueeze(-3)
        return coils if self.coil_maps is None else coils * self.coil_maps

    def _from_coils(self, coils: Tensor) -> Tensor:
        if self.coil_maps is None:
            return coils.squeeze(-3)
        return (coils * self.coil_maps.conj()).sum(-3)


class ShiftFreeMR(LinearOperator):
    """The encoding of a :class:`CartesianMR` up to a unitary change of its k-space.

    The centred FFT is the plain one between two circular shifts. A shift of the image is a phase in
    k-space and commutes with the mask; a shift of k-space can be done once, to the mask. And along an axis on
    which the mask is constant the transform cancels in AᴴA, so a mask of whole columns needs a 1D FFT.
    """

    is_complex = True

    def __init__(self, encoding: CartesianMR) -> None:
        self._encoding = encoding
        self.domain, self.range = encoding.domain, encoding.range
        mask = encoding.mask
        varies = bool((mask != mask[:1]).any()), bool((mask != mask[:, :1]).any())
        self._axes = tuple(axis for axis, needed in zip(_AXES, varies, strict=True) if needed)
        self._weights = torch.fft.ifftshift(mask).to(torch.float32)

    def transform(self, coils: Tensor) -> Tensor:
        """Coil images to this operator's k-space, unmasked: (..., coils, y, x) to the same shape."""
        return torch.fft.fftn(coils, dim=self._axes, norm="ortho") if self._axes else coils

    @property
    def gram(self) -> LinearOperator:
        """BᴴB, with one pass of the mask instead of two."""
        return _Gram(self)

    def _forward(self, x: Tensor) -> Tensor:
        coils = self._encoding._to_coils(x)
        # A mask that is constant along both axes samples everything; the copy is so as never to return x itself.
        return self.transform(coils).mul_(self._weights) if self._axes else coils.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._from_kspace(y * self._weights)

    def _from_kspace(self, masked: Tensor) -> Tensor:
        coils = torch.fft.ifftn(masked, dim=self._axes, norm="ortho") if self._axes else masked
        return self._encoding._from_coils(coils)


class _Gram(LinearOperator):
    is_complex = True

    def __init__(self, encoding: ShiftFreeMR) -> None:
        self._encoding = encoding
        self.domain = self.range = encoding.domain

    def _forward(self, x: Tensor) -> Tensor:
        return self._encoding._from_kspace(self._encoding._forward(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)


def simulate_kspace(
    image: Tensor,
    mask: Tensor,
    coil_maps: Tensor | None = None,
    noise_std: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Undersampled k-space of an image, with white complex Gaussian noise on the sampled points.

    Args:
        image: (z, y, x) real or complex.
        mask: (y, x) bool.
        coil_maps: (z, coils, y, x), or None for one uniform coil.
        noise_std: σ with E|n|² = σ² per complex sample, in the unit of ``image``.
        generator: the run's randomness; torch's global one if None.

    Returns:
        (z, coils, y, x) complex; zero where not sampled.
    """
    if noise_std < 0:
        raise ValueError(f"the noise standard deviation must not be negative, it is {noise_std:g}")
    if not image.is_complex():
        image = torch.complex(image, torch.zeros_like(image))
    kspace = CartesianMR(mask, coil_maps)(image)
    if noise_std == 0:
        return kspace
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, device=kspace.device, generator=generator)
    return kspace + noise_std * noise * mask
