"""Cone beams: geometries in three dimensions, their projector with its exact adjoint, FDK."""

from __future__ import annotations

import torch

from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.projector import ConeProjector
from physics.ct.cone.views import ConeGeometry

__all__ = ["ConeProjector", "VolumeGrid", "make_cone_projector"]


def make_cone_projector(
    geometry: ConeGeometry, grid: VolumeGrid, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ConeProjector:
    """The projector of a cone beam for a device: compiled loops on the CPU, operations of torch on a GPU."""
    from physics.ct.cone.torch_projector import TorchConeProjector

    make = ConeProjector if torch.device(device).type == "cpu" else TorchConeProjector
    return make(geometry, grid, dtype, device)
