"""ASTRA's CUDA projectors on torch tensors that stay on the GPU, for many views.

Not an exact adjoint pair: ASTRA's GPU forward projection is ray-driven and its backprojection voxel-driven.
Use :class:`~physics.ct.projector.CTProjector` wherever its matrix fits, on a GPU too.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from physics.ct.geometry import Geometry, ImageGrid
from physics.ct.projector import Projector


def cuda_projector_available() -> bool:
    """Whether ASTRA is installed and finds a GPU (its 3D geometries end the process without one)."""
    if importlib.util.find_spec("astra") is None:
        return False
    import astra

    return bool(astra.use_cuda())


class _Handle:
    """A projector that ASTRA holds, given back when nobody uses it any more."""

    def __init__(self, identifier: int) -> None:
        self.identifier = identifier

    def __del__(self) -> None:
        import astra

        astra.projector3d.delete(self.identifier)


class AstraCudaProjector(Projector):
    """Each slice as a one-slice volume of ASTRA's 3D projectors, whose arrays are linked without copies (DLPack).

    Args:
        geometry: scan geometry, with or without its number of cells (then enough to cover the grid).
        grid: pixels of a slice.
        device: a CUDA device.
        slices: number of slices.

    Raises:
        RuntimeError: no ASTRA, or no GPU that it can use.
    """

    def __init__(
        self, geometry: Geometry, grid: ImageGrid, device: torch.device | str = "cuda", slices: int = 1
    ) -> None:
        if not cuda_projector_available():
            raise RuntimeError("ASTRA's CUDA projectors need astra-toolbox and an NVIDIA GPU; use CTProjector")
        super().__init__(geometry, grid, torch.float32, device, slices)
        import astra

        volume, projections = astra_geometries(self.geometry, grid)
        self._handle = _Handle(astra.create_projector("cuda3d", projections, volume))

    def views(self, part: slice) -> AstraCudaProjector:
        """The projector of some of the views."""
        geometry = replace(self.geometry, angles=self.geometry.angles[part])
        return AstraCudaProjector(geometry, self.grid, self.device, self.domain[0])

    def _forward(self, x: Tensor) -> Tensor:
        from astra.experimental import direct_FP3D

        slices = x.reshape(-1, 1, *self.grid.shape).contiguous()
        sinogram = x.new_empty((slices.shape[0], 1, *self.geometry.data_shape))
        for image, projections in zip(slices, sinogram, strict=True):
            direct_FP3D(self._handle.identifier, image, projections)
        return sinogram.reshape(*x.shape[:-2], *self.geometry.data_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        from astra.experimental import direct_BP3D

        sinogram = y.reshape(-1, 1, *self.geometry.data_shape).contiguous()
        slices = y.new_empty((sinogram.shape[0], 1, *self.grid.shape))
        for image, projections in zip(slices, sinogram, strict=True):
            direct_BP3D(self._handle.identifier, image, projections)
        return slices.reshape(*y.shape[:-2], *self.grid.shape)


def astra_geometries(geometry: Geometry, grid: ImageGrid) -> tuple[dict[str, object], dict[str, object]]:
    """ASTRA's volume and projection geometry of one slice, as a 3D volume of one slice and one detector row.

    ASTRA's 3D arrays begin at the smallest y, as ours do (its 2D arrays at the largest).
    """
    import astra

    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    thickness = min(dy, dx)
    volume = astra.create_vol_geom(
        ny, nx, 1, -nx * dx / 2, nx * dx / 2, -ny * dy / 2, ny * dy / 2, -thickness / 2, thickness / 2
    )
    flat = geometry.vectors()
    vectors = np.zeros((geometry.views, 12))
    for start in range(3):  # source or ray, detector centre, cell step; all at z = 0
        vectors[:, 3 * start : 3 * start + 2] = flat[:, 2 * start : 2 * start + 2]
    vectors[:, 11] = thickness
    kind = {"parallel": "parallel3d_vec", "fan": "cone_vec"}[geometry.kind]
    return volume, astra.create_proj_geom(kind, 1, geometry.data_shape[1], vectors)
