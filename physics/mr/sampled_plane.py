"""Samples of one plane of k-space along a trajectory: their transform, their density, and the spectrum of their spread.

What is computed once, when it is first asked for, is shared by all operators that hold the plane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from physics.mr.nufft import COARSE, Nufft
from physics.mr.trajectories import check_trajectory

_DENSITY_ITERATIONS = 20

_DENSITY_TYPE = torch.complex64
"""Precision of the density, which is right to about a hundredth."""


class SampledPlane:
    """A trajectory through one plane of k-space, for images of one size.

    Args:
        trajectory: (readouts, samples, 2) coordinates along y and x, in cycles per voxel.
        shape: (y, x) of the images.
        back_end: back end of the transform, see :class:`physics.mr.nufft.Nufft`.
    """

    def __init__(self, trajectory: Tensor, shape: tuple[int, int], back_end: str | None = None) -> None:
        self.trajectory, self.shape = trajectory, shape
        self.nufft = Nufft(trajectory.reshape(-1, 2), shape, back_end)

    def forward(self, images: Tensor) -> Tensor:
        """(..., y, x) complex images to (..., readouts, samples)."""
        samples = self.nufft.forward(images.reshape(-1, *self.shape))
        return samples.reshape(*images.shape[:-2], *self.trajectory.shape[:2])

    def adjoint(self, samples: Tensor) -> Tensor:
        """(..., readouts, samples) to (..., y, x)."""
        points = self.trajectory.shape[0] * self.trajectory.shape[1]
        images = self.nufft.adjoint(samples.reshape(-1, points))
        return images.reshape(*samples.shape[:-2], *self.shape)

    def gram(self, images: Tensor) -> Tensor:
        """:meth:`adjoint` of :meth:`forward` without the transform: the convolution of images (..., y, x) with the
        spread of a point (Toeplitz; Fessler et al. 2005, IEEE Trans Signal Process 53:3393)."""
        y, x = self.shape
        waves = torch.fft.fft2(images, s=(2 * y, 2 * x))
        waves *= self.spectrum.to(images.device, images.real.dtype)
        return torch.fft.ifft2(waves)[..., :y, :x]

    @cached_property
    def spectrum(self) -> Tensor:
        """(2y, 2x) float64 Fourier transform of the point spread function on twice the field of view, shift-free."""
        y, x = self.shape
        spread = self._twice().adjoint(self._ones(torch.complex128))[0] * (2 / (y * x) ** 0.5)
        return torch.fft.fft2(torch.fft.ifftshift(spread)).real

    @cached_property
    def density(self) -> Tensor:
        """(readouts, samples) float64 weights of the samples: the area of k-space that belongs to each, in samples of a
        Cartesian grid (Pipe & Menon 1999, Magn Reson Med 41:179).

        The weights are those whose convolution with a kernel is 1 at every sample. The kernel is a product of sinc²,
        positive, whose transform is a triangle over twice the field of view, all distances of two voxels.
        """
        y, x = (1 - (torch.arange(2 * n) - n).abs() / n for n in self.shape)
        triangle, twice = 4 * (y[:, None] * x).to(_DENSITY_TYPE), self._twice(COARSE)
        weights = self._ones(_DENSITY_TYPE)
        for _ in range(_DENSITY_ITERATIONS):
            spread = twice.forward(triangle * twice.adjoint(weights))
            weights = weights / spread.real.clamp_min(1e-12)
        return weights.real.double().reshape(self.trajectory.shape[:2])

    def _ones(self, dtype: torch.dtype) -> Tensor:
        return torch.ones(1, self.trajectory.shape[0] * self.trajectory.shape[1], dtype=dtype)

    def _twice(self, accuracy: float | None = None) -> Nufft:
        """The transform of images of twice the field of view."""
        y, x = self.shape
        return Nufft(self.trajectory.reshape(-1, 2), (2 * y, 2 * x), self.nufft.back_end, accuracy)


def planes_of(trajectory: Tensor, shape: tuple[int, int], back_end: str | None = None) -> list[SampledPlane]:
    """The one plane of a trajectory (readouts, samples, 2), or the planes of (z, readouts, samples, 2).

    Raises:
        ValueError: coordinates that are no trajectory.
    """
    each = trajectory if trajectory.ndim == 4 else trajectory[None]
    for coordinates in each:
        check_trajectory(coordinates)
    return [SampledPlane(coordinates, shape, back_end) for coordinates in each]


def over_planes(
    apply: Callable[[SampledPlane, Tensor], Tensor], planes: Sequence[SampledPlane], values: Tensor
) -> Tensor:
    """A method of planes on values (..., z, coils, ·, ·): all z of the one plane at once, or each of its own."""
    if len(planes) == 1:
        return apply(planes[0], values)
    parts = [apply(plane, values[..., z, :, :, :]) for z, plane in enumerate(planes)]
    return torch.stack(parts, -4)


def largest_spectrum(planes: Sequence[SampledPlane]) -> float:
    """The largest value of the planes' spectra, a bound of the norm of every plane's gram."""
    return max(float(plane.spectrum.max()) for plane in planes)
