"""CT: geometries, the projector with its exact adjoint, filtered backprojection."""

from __future__ import annotations

import torch

from physics.ct.geometry import Geometry, ImageGrid
from physics.ct.projector import DEFAULT_MATRIX_BYTES, CTProjector, Projector
from physics.ct.system_matrix import matrix_bytes

__all__ = ["CTProjector", "Projector", "make_projector"]


def make_projector(
    geometry: Geometry, grid: ImageGrid, device: torch.device | str = "cpu", slices: int = 1
) -> Projector:
    """The projector of a stack of slices for a device: the matrix where it fits, ASTRA's CUDA kernels on a GPU where
    it does not."""
    from physics.ct.astra_cuda import AstraCudaProjector, cuda_projector_available

    large = matrix_bytes(geometry.covering(grid), grid, device=device) > DEFAULT_MATRIX_BYTES
    if large and torch.device(device).type == "cuda" and cuda_projector_available():
        return AstraCudaProjector(geometry, grid, device, slices)
    return CTProjector(geometry, grid, device=device, slices=slices)
