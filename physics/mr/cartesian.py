"""Cartesian MR encoding: the centred orthonormal FFT, coil sensitivities and a sampling mask.

k-space is centred (zero frequency at index n // 2) and the transform is orthonormal, so that noise of a
given standard deviation in k-space has the same standard deviation in a fully sampled image.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from physics.mr.encoding import EncodingWithGram, check_maps, from_coils, largest_sensitivity, to_coils
from physics.noise import NoiseModel
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

    Maps (z, y, x) complex images to (z, coils, y, x) k-space, zero where not sampled.

    Args:
        mask: (y, x) bool, True where sampled.
        coil_maps: (z, coils, y, x) complex sensitivities, or None for one uniform coil.
        slices: number of slices; None: as many as there are coil sensitivity maps, or one.

    Raises:
        ValueError: a mask that is not (y, x) bool or samples nothing, or maps of another (y, x) or number of slices.
    """

    separable = True
    slab_elements = 2**19  # 8 slices of 256² with one coil, 1 with 8 coils; 4 MiB an array, near the cache
    mask: Tensor

    def __init__(self, mask: Tensor, coil_maps: Tensor | None = None, slices: int | None = None) -> None:
        if mask.ndim != 2 or mask.dtype != torch.bool:
            raise ValueError(f"the mask must be (y, x) bool, not {mask.dtype} of shape {tuple(mask.shape)}")
        if not mask.any():
            raise ValueError("the mask is empty: it samples nothing")
        check_maps(coil_maps, tuple(mask.shape), slices)
        self.mask, self.device = mask, mask.device
        self.dtype = torch.complex64 if coil_maps is None else coil_maps.dtype
        self._weights = mask.to(torch.float32)  # multiplying complex by real is faster than by bool
        self._set_maps(coil_maps, 1 if slices is None else slices)

    def _set_maps(self, coil_maps: Tensor | None, slices: int) -> None:
        self.coil_maps = coil_maps
        self.range: Shape = (slices, 1, *self.mask.shape) if coil_maps is None else tuple(coil_maps.shape)
        self.domain: Shape = (self.range[0], *self.mask.shape)

    def _slices(self, part: slice) -> CartesianMR:
        other = copy.copy(self)
        maps = None if self.coil_maps is None else self.coil_maps[part]
        other._set_maps(maps, len(range(*part.indices(self.domain[0]))))
        other._norm = None
        return other

    def _norm_bound(self) -> float:
        return largest_sensitivity(self.coil_maps)

    def keeping(self, kept: Tensor) -> CartesianMR:
        """The encoding with a smaller mask."""
        return CartesianMR(self.mask & kept, self.coil_maps, self.domain[0])

    def unmasked(self) -> CartesianMR:
        """The encoding of the whole k-space."""
        return CartesianMR(torch.ones_like(self.mask), self.coil_maps, self.domain[0])

    def equivalent_problem(self, y: Tensor) -> tuple[LinearOperator, Tensor]:
        """The encoding without the shifts of its Fourier transforms, and its data."""
        equivalent = ShiftFreeMR(self)
        return equivalent, equivalent.transform(ifft2c(y))

    def solve_normal(self, rhs: Tensor, weight: Tensor | float) -> Tensor | None:
        """Of one uniform coil AᴴA is the mask in k-space, so that its regularised inverse is a division there."""
        if self.coil_maps is not None:
            return None
        return ifft2c(fft2c(rhs) / (self._weights + weight))

    def _forward(self, x: Tensor) -> Tensor:
        return fft2c(self.to_coils(x)) * self._weights

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.from_coils(ifft2c(y * self._weights))

    def to_coils(self, x: Tensor) -> Tensor:
        """S x, see :func:`physics.mr.encoding.to_coils`."""
        return to_coils(x, self.coil_maps)

    def from_coils(self, coils: Tensor) -> Tensor:
        """Sᴴ, see :func:`physics.mr.encoding.from_coils`."""
        return from_coils(coils, self.coil_maps)


class ShiftFreeMR(EncodingWithGram):
    """The encoding of a :class:`CartesianMR` up to a unitary change of its k-space.

    The centred FFT is the plain one between two circular shifts. A shift of the image is a phase in
    k-space and commutes with the mask; a shift of k-space can be done once, to the mask. And along an axis on
    which the mask is constant the transform cancels in AᴴA, so a mask of whole columns needs a 1D FFT.
    """

    separable = True
    slab_elements = CartesianMR.slab_elements

    def __init__(self, encoding: CartesianMR) -> None:
        self._encoding = encoding
        self.domain, self.range = encoding.domain, encoding.range
        self.dtype, self.device = encoding.dtype, encoding.device
        mask = encoding.mask
        varies = bool((mask != mask[:1]).any()), bool((mask != mask[:, :1]).any())
        self._axes = tuple(axis for axis, needed in zip(_AXES, varies, strict=True) if needed)
        self.mask = torch.fft.ifftshift(mask)
        self._weights = self.mask.to(torch.float32)

    def transform(self, coils: Tensor) -> Tensor:
        """Coil images to this operator's k-space, unmasked: (..., coils, y, x) to the same shape."""
        return torch.fft.fftn(coils, dim=self._axes, norm="ortho") if self._axes else coils

    def apply_gram(self, x: Tensor) -> Tensor:
        """BᴴB x, with one pass of the mask instead of two."""
        return self.from_kspace(self._forward(x))

    def _slices(self, part: slice) -> ShiftFreeMR:
        return ShiftFreeMR(self._encoding._slices(part))

    def _norm_bound(self) -> float:
        return self._encoding.norm_bound

    def _forward(self, x: Tensor) -> Tensor:
        coils = self._encoding.to_coils(x)
        # A mask that is constant along both axes samples everything; the copy is so as never to return x itself.
        return self.transform(coils).mul_(self._weights) if self._axes else coils.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.from_kspace(y * self._weights)

    def from_kspace(self, masked: Tensor) -> Tensor:
        """The adjoint of k-space that is zero where not sampled."""
        coils = torch.fft.ifftn(masked, dim=self._axes, norm="ortho") if self._axes else masked
        return self._encoding.from_coils(coils)


def simulate_kspace(
    image: Tensor,
    mask: Tensor,
    coil_maps: Tensor | None = None,
    noise: NoiseModel | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Undersampled k-space of an image, with noise on the sampled points.

    Args:
        image: (z, y, x) real or complex.
        mask: (y, x) bool.
        coil_maps: (z, coils, y, x), or None for one uniform coil.
        noise: noise of a complex sample; None for none.
        generator: the run's randomness; torch's global one if None.

    Returns:
        (z, coils, y, x) complex; zero where not sampled.
    """
    if not image.is_complex():
        image = torch.complex(image, torch.zeros_like(image))
    kspace = CartesianMR(mask, coil_maps, len(image))(image)
    return kspace if noise is None else noise.apply(kspace, generator)[0] * mask
