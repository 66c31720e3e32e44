"""Non-Cartesian MR encoding: coil sensitivities and samples of the Fourier transform along any trajectory."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from physics.mr.nufft import Nufft
from physics.mr.trajectories import check_trajectory
from physics.operator import LinearOperator, Shape

_DENSITY_ITERATIONS = 20


class NonCartesian(LinearOperator):
    """A = F S: coil sensitivities and the Fourier transform at the coordinates of a trajectory.

    All slices have the same trajectory. Maps (z, y, x) complex images to (z, coils, readouts, samples).

    Args:
        trajectory: (readouts, samples, 2) coordinates along y and x, in cycles per voxel.
        shape: (y, x) of the images.
        coil_maps: (z, coils, y, x) complex sensitivities, or None for one uniform coil.
        slices: number of slices; None: as many as there are coil sensitivity maps, or one.
        back_end: back end of the transform, see :class:`physics.mr.nufft.Nufft`.

    Raises:
        ValueError: coordinates that are no trajectory, or maps of another (y, x) or number of slices.
    """

    separable = True
    slab_elements = 2**19

    def __init__(
        self,
        trajectory: Tensor,
        shape: tuple[int, int],
        coil_maps: Tensor | None = None,
        slices: int | None = None,
        back_end: str | None = None,
    ) -> None:
        check_trajectory(trajectory)
        if coil_maps is not None and (coil_maps.ndim != 4 or tuple(coil_maps.shape[-2:]) != tuple(shape)):
            raise ValueError(
                f"the coil sensitivity maps must be (z, coils, {shape[0]}, {shape[1]}), not {tuple(coil_maps.shape)}"
            )
        if coil_maps is not None and slices not in (None, len(coil_maps)):
            raise ValueError(f"`slices` {slices}: the coil sensitivity maps have {len(coil_maps)} slices")
        self.trajectory = trajectory
        self.device = trajectory.device if coil_maps is None else coil_maps.device
        self.dtype = torch.complex64 if coil_maps is None else coil_maps.dtype
        self.nufft = Nufft(trajectory.reshape(-1, 2), shape, back_end)
        self._shared: dict[str, Tensor] = {}  # what slices of the operator share, computed once
        self._set_maps(coil_maps, 1 if slices is None else slices)

    def _set_maps(self, coil_maps: Tensor | None, slices: int) -> None:
        self.coil_maps = coil_maps
        z, coils = (slices, 1) if coil_maps is None else coil_maps.shape[:2]
        self.range: Shape = (z, coils, *self.trajectory.shape[:2])
        self.domain: Shape = (z, *self.nufft.shape)

    def _slices(self, part: slice) -> NonCartesian:
        other = copy.copy(self)
        maps = None if self.coil_maps is None else self.coil_maps[part]
        other._set_maps(maps, len(range(*part.indices(self.domain[0]))))
        return other  # with the norm of all slices, if it is known, which bounds that of some

    def _norm_bound(self) -> float:
        """The root of the largest value of the spectrum that AᴴA is a section of, times the largest Σ|S|²."""
        largest = float(self.spectrum.max()) ** 0.5
        return (
            largest if self.coil_maps is None else largest * float(self.coil_maps.abs().square().sum(1).amax().sqrt())
        )

    @property
    def gram(self) -> LinearOperator:
        """AᴴA without the transform: it is a convolution of every coil's image (Toeplitz; Fessler et al. 2005)."""
        return _ToeplitzGram(self)

    @property
    def spectrum(self) -> Tensor:
        """(2y, 2x) float64 Fourier transform of the point spread function on twice the field of view, shift-free."""
        if "spectrum" not in self._shared:
            y, x = self.nufft.shape
            ones = torch.ones(1, self.range[-2] * self.range[-1], dtype=torch.complex128)
            spread = self._twice().adjoint(ones)[0] * (2 / (y * x) ** 0.5)
            self._shared["spectrum"] = torch.fft.fft2(torch.fft.ifftshift(spread)).real
        return self._shared["spectrum"]

    @property
    def density(self) -> Tensor:
        """(readouts, samples) float64 weights of the samples: the area of k-space that belongs to each, in samples of a
        Cartesian grid (Pipe & Menon 1999, Magn Reson Med 41:179).

        The weights are those whose convolution with a kernel is 1 at every sample. The kernel is a product of sinc²,
        positive, whose transform is a triangle over twice the field of view, all distances of two voxels.
        """
        if "density" not in self._shared:
            y, x = (1 - (torch.arange(2 * n) - n).abs() / n for n in self.nufft.shape)
            triangle, twice = 4 * (y[:, None] * x).double(), self._twice()
            weights = torch.ones(1, self.range[-2] * self.range[-1], dtype=torch.complex128)
            for _ in range(_DENSITY_ITERATIONS):
                spread = twice.forward(triangle * twice.adjoint(weights))
                weights = weights / spread.real.clamp_min(1e-12)
            self._shared["density"] = weights.real.reshape(self.range[-2:])
        return self._shared["density"]

    def _twice(self) -> Nufft:
        """The transform of images of twice the field of view."""
        y, x = self.nufft.shape
        return Nufft(self.trajectory.reshape(-1, 2), (2 * y, 2 * x), self.nufft.back_end)

    def direct(self, y: Tensor) -> Tensor:
        """Gridding: the adjoint of the samples weighted by their :attr:`density`."""
        return self.adjoint(y * self.density.to(y.device, y.real.dtype))

    def _forward(self, x: Tensor) -> Tensor:
        coils = self.to_coils(x)
        samples = self.nufft.forward(coils.reshape(-1, *self.nufft.shape))
        return samples.reshape(*coils.shape[:-2], *self.range[-2:])

    def _adjoint(self, y: Tensor) -> Tensor:
        images = self.nufft.adjoint(y.reshape(-1, self.range[-2] * self.range[-1]))
        return self.from_coils(images.reshape(*y.shape[:-2], *self.nufft.shape))

    def to_coils(self, x: Tensor) -> Tensor:
        """S x: (..., z, y, x) images to (..., z, coils, y, x), a view of ``x`` for one uniform coil."""
        coils = x.unsqueeze(-3)
        return coils if self.coil_maps is None else coils * self.coil_maps

    def from_coils(self, coils: Tensor) -> Tensor:
        """Sᴴ: (..., z, coils, y, x) coil images to (..., z, y, x)."""
        return coils.squeeze(-3) if self.coil_maps is None else (coils * self.coil_maps.conj()).sum(-3)


class _ToeplitzGram(LinearOperator):
    separable = True

    def __init__(self, encoding: NonCartesian) -> None:
        self._encoding = encoding
        self.domain = self.range = encoding.domain
        self.dtype, self.device = encoding.dtype, encoding.device
        self.slab_elements = encoding.slab_elements

    def _slices(self, part: slice) -> LinearOperator:
        return self._encoding.slices(part).gram

    def _norm_bound(self) -> float:
        return self._encoding.norm_bound**2

    def _forward(self, x: Tensor) -> Tensor:
        y, columns = self.domain[-2:]
        spectrum = self._encoding.spectrum.to(x.device, x.real.dtype)
        waves = torch.fft.fft2(self._encoding.to_coils(x), s=(2 * y, 2 * columns))
        return self._encoding.from_coils(torch.fft.ifft2(waves * spectrum)[..., :y, :columns])

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)
