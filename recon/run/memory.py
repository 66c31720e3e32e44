"""How much memory a run will take, estimated before it starts."""

from __future__ import annotations

from physics.ct.geometry import Geometry, ImageGrid
from physics.ct.projector import DEFAULT_MATRIX_BYTES
from physics.ct.system_matrix import matrix_bytes

_FLOAT = 4
_OVERHEAD = 500 * 10**6
_CT_VOLUMES = {"tv": 8, "fbp": 5}
_CT_VOLUMES_OTHER = 6
_MR_COPIES = 14


def available_bytes() -> int:
    """Memory that can be had without swapping, bytes."""
    import psutil

    return int(psutil.virtual_memory().available)


def ct_bytes(shape: tuple[int, int, int], geometry: Geometry, grid: ImageGrid, method: str) -> int:
    """Peak memory of a CT run: volumes of the method and the report, sinograms, the system matrix.

    Args:
        shape: (z, y, x).
        geometry: with its number of cells decided.
        grid: one slice's pixels.
        method: its name.
    """
    voxels = shape[0] * shape[1] * shape[2]
    rays = shape[0] * geometry.data_shape[0] * geometry.data_shape[1]
    matrix = min(matrix_bytes(geometry, grid), DEFAULT_MATRIX_BYTES)
    return _FLOAT * (_CT_VOLUMES.get(method, _CT_VOLUMES_OTHER) * voxels + 6 * rays) + matrix + _OVERHEAD


def mr_bytes(samples: int) -> int:
    """Peak memory of an MR run with ``samples`` complex k-space samples, over all coils and slices."""
    return _MR_COPIES * 2 * _FLOAT * samples // 2 + _OVERHEAD
