"""Non-Cartesian MR encoding: coil sensitivities and samples of the Fourier transform along any trajectory."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from physics.mr.encoding import EncodingWithGram, check_maps, from_coils, largest_sensitivity, to_coils
from physics.mr.sampled_plane import SampledPlane, largest_spectrum, over_planes, planes_of
from physics.operator import Shape


class NonCartesian(EncodingWithGram):
    """A = F S: coil sensitivities and the Fourier transform at the coordinates of a trajectory.

    Maps (z, y, x) complex images to (z, coils, readouts, samples).

    Args:
        trajectory: (readouts, samples, 2) coordinates along y and x, in cycles per voxel, of all slices; or (z,
            readouts, samples, 2), those of each.
        shape: (y, x) of the images.
        coil_maps: (z, coils, y, x) complex sensitivities, or None for one uniform coil.
        slices: number of slices; None: as many as there are trajectories or coil sensitivity maps, or one.
        back_end: back end of the transform, see :class:`physics.mr.nufft.Nufft`.

    Raises:
        ValueError: coordinates that are no trajectory, or maps of another (y, x) or number of slices.
    """

    separable = True
    fast_gram = True
    slab_elements = 2**19

    def __init__(
        self,
        trajectory: Tensor,
        shape: tuple[int, int],
        coil_maps: Tensor | None = None,
        slices: int | None = None,
        back_end: str | None = None,
    ) -> None:
        self.planes = planes_of(trajectory, shape, back_end)
        slices = len(trajectory) if trajectory.ndim == 4 and slices is None else slices
        check_maps(coil_maps, shape, slices)
        self.device = trajectory.device if coil_maps is None else coil_maps.device
        self.dtype = torch.complex64 if coil_maps is None else coil_maps.dtype
        self._set_maps(coil_maps, 1 if slices is None else slices)
        if len(self.planes) not in (1, self.domain[0]):
            raise ValueError(
                f"{len(self.planes)} trajectories for {self.domain[0]} slices; one, or one a slice is needed"
            )

    def _set_maps(self, coil_maps: Tensor | None, slices: int) -> None:
        self.coil_maps = coil_maps
        z, coils = (slices, 1) if coil_maps is None else coil_maps.shape[:2]
        plane = self.planes[0]
        self.range: Shape = (z, coils, *plane.trajectory.shape[:2])
        self.domain: Shape = (z, *plane.shape)

    def _slices(self, part: slice) -> NonCartesian:
        other = copy.copy(self)
        maps = None if self.coil_maps is None else self.coil_maps[part]
        if len(self.planes) > 1:
            other.planes = self.planes[part]
        other._set_maps(maps, len(range(*part.indices(self.domain[0]))))
        return other  # with the norm of all slices, if it is known, which bounds that of some

    def _norm_bound(self) -> float:
        """The root of the largest value of the spectra that AᴴA is a section of, times the largest Σ|S|²."""
        return largest_spectrum(self.planes) ** 0.5 * largest_sensitivity(self.coil_maps)

    @property
    def density(self) -> Tensor:
        """(1 or z, 1, readouts, samples) float64 weights, see :attr:`physics.mr.sampled_plane.SampledPlane.density`."""
        return torch.stack([plane.density for plane in self.planes])[:, None]

    def direct(self, y: Tensor) -> Tensor:
        """Gridding: the adjoint of the samples weighted by their :attr:`density`."""
        return from_coils(self.coil_images(y), self.coil_maps)

    def coil_images(self, y: Tensor) -> Tensor:
        """Gridded images (z, coils, y, x) of data (z, coils, readouts, samples) of any number of coils."""
        return over_planes(SampledPlane.adjoint, self.planes, y * self.density.to(y.device, y.real.dtype))

    def apply_gram(self, x: Tensor) -> Tensor:
        """AᴴA x by :meth:`physics.mr.sampled_plane.SampledPlane.gram`."""
        return from_coils(over_planes(SampledPlane.gram, self.planes, to_coils(x, self.coil_maps)), self.coil_maps)

    def _forward(self, x: Tensor) -> Tensor:
        return over_planes(SampledPlane.forward, self.planes, to_coils(x, self.coil_maps))

    def _adjoint(self, y: Tensor) -> Tensor:
        return from_coils(over_planes(SampledPlane.adjoint, self.planes, y), self.coil_maps)
