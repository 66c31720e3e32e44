"""Stacks of stars: a Cartesian third phase encoding, and any trajectory in every plane of it."""

from __future__ import annotations

import torch
from torch import Tensor

from physics.mr.encoding import EncodingWithGram, check_maps, from_coils, largest_sensitivity, to_coils
from physics.mr.sampled_plane import SampledPlane, largest_spectrum, over_planes, planes_of
from physics.operator import Shape


def fft1c(values: Tensor, axis: int) -> Tensor:
    """Centred orthonormal FFT along one axis."""
    spectrum = torch.fft.fft(torch.fft.ifftshift(values, dim=axis), dim=axis, norm="ortho")
    return torch.fft.fftshift(spectrum, dim=axis)


def ifft1c(values: Tensor, axis: int) -> Tensor:
    """Inverse (and adjoint) of :func:`fft1c`."""
    image = torch.fft.ifft(torch.fft.ifftshift(values, dim=axis), dim=axis, norm="ortho")
    return torch.fft.fftshift(image, dim=axis)


class StackOfStars(EncodingWithGram):
    """A = N Fz S: coil sensitivities, the centred FFT along z, and the transform along a trajectory in every plane.

    Maps (z, y, x) complex volumes to (kz, coils, readouts, samples), zero in planes that were not measured. Slices are
    coupled. Where all planes were measured along one trajectory, an inverse FFT along kz makes slices of the data, and
    :class:`physics.mr.non_cartesian.NonCartesian` is the cheaper operator.

    Args:
        trajectory: (readouts, samples, 2) coordinates along y and x, in cycles per voxel, of all planes; or (kz,
            readouts, samples, 2), those of each.
        shape: (y, x) of the images.
        measured: (kz,) bool, the planes that were measured; zero frequency is at n // 2.
        coil_maps: (z, coils, y, x) complex sensitivities, or None for one uniform coil.
        back_end: back end of the transform, see :class:`physics.mr.nufft.Nufft`.

    Raises:
        ValueError: coordinates that are no trajectory, no measured plane, or maps of another shape.
    """

    fast_gram = True
    mask: Tensor

    def __init__(
        self,
        trajectory: Tensor,
        shape: tuple[int, int],
        measured: Tensor,
        coil_maps: Tensor | None = None,
        back_end: str | None = None,
    ) -> None:
        if measured.ndim != 1 or measured.dtype != torch.bool or not measured.any():
            raise ValueError(f"the measured planes are (kz,) bool, one at least, not {measured.dtype} {measured.shape}")
        check_maps(coil_maps, shape, len(measured))
        self.planes = planes_of(trajectory, shape, back_end)
        if len(self.planes) not in (1, len(measured)):
            raise ValueError(
                f"{len(self.planes)} trajectories for {len(measured)} planes; one, or one a plane is needed"
            )
        self.device = trajectory.device if coil_maps is None else coil_maps.device
        self.dtype = torch.complex64 if coil_maps is None else coil_maps.dtype
        self.coil_maps = coil_maps
        self.mask = measured[:, None, None, None].to(self.device)
        self.domain: Shape = (len(measured), *shape)
        coils = 1 if coil_maps is None else coil_maps.shape[1]
        self.range: Shape = (len(measured), coils, *self.planes[0].trajectory.shape[:2])

    def _norm_bound(self) -> float:
        return largest_spectrum(self.planes) ** 0.5 * largest_sensitivity(self.coil_maps)

    @property
    def density(self) -> Tensor:
        """(1 or kz, 1, readouts, samples) float64 weights of the samples within their planes."""
        return torch.stack([plane.density for plane in self.planes])[:, None]

    def direct(self, y: Tensor) -> Tensor:
        """Gridding in every plane, and zero-filling of planes that were not measured."""
        return from_coils(self.coil_images(y), self.coil_maps)

    def coil_images(self, y: Tensor) -> Tensor:
        """Gridded volumes (z, coils, y, x) of data (kz, coils, readouts, samples) of any number of coils."""
        weighted = y * (self.density.to(y.device, y.real.dtype) * self.mask)
        return ifft1c(over_planes(SampledPlane.adjoint, self.planes, weighted), -4)

    def apply_gram(self, x: Tensor) -> Tensor:
        """AᴴA x: between the two FFTs along z, every plane is convolved on its own."""
        waves = fft1c(to_coils(x, self.coil_maps), -4)
        spread = over_planes(SampledPlane.gram, self.planes, waves * self.mask)
        return from_coils(ifft1c(spread * self.mask, -4), self.coil_maps)

    def _forward(self, x: Tensor) -> Tensor:
        waves = fft1c(to_coils(x, self.coil_maps), -4)
        return over_planes(SampledPlane.forward, self.planes, waves) * self.mask

    def _adjoint(self, y: Tensor) -> Tensor:
        images = over_planes(SampledPlane.adjoint, self.planes, y * self.mask)
        return from_coils(ifft1c(images, -4), self.coil_maps)
