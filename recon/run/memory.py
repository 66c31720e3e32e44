"""How much memory a run will take: estimated and checked before it starts, said in one line where it runs out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from physics.ct.geometry import Geometry, ImageGrid
from physics.ct.projector import DEFAULT_MATRIX_BYTES
from physics.ct.system_matrix import matrix_bytes
from recon.errors import InputError, RunError

if TYPE_CHECKING:
    from recon.scan.measurement import Measurement
    from recon.scan.volume import Volume

_FLOAT = 4
_OVERHEAD = 500 * 10**6
_CT_VOLUMES = {"tv": 8, "fbp": 5, "fdk": 5}
_CT_VOLUMES_OTHER = 6
_FINER_VOLUMES = {"tv": 6, "meddiffusion": 6}
"""Volumes on the finer grid that methods take which work there."""

_CT_SINOGRAMS = 6
_MR_COPIES = 14


def available_bytes() -> int:
    """Memory that can be had without swapping, bytes."""
    import psutil

    return int(psutil.virtual_memory().available)


def ct_bytes(shape: tuple[int, int, int], geometry: Geometry, grid: ImageGrid) -> int:
    """Peak memory of a CT simulation and the direct method: volumes, sinograms, the system matrix.

    Args:
        shape: (z, y, x) of the volume.
        geometry: geometry of the scan, its number of cells decided.
        grid: pixels of one slice.
    """
    voxels = shape[0] * shape[1] * shape[2]
    rays = shape[0] * geometry.data_shape[0] * geometry.data_shape[1]
    matrix = min(matrix_bytes(geometry, grid), DEFAULT_MATRIX_BYTES)
    return _ct_arrays(voxels, rays, "fbp") + matrix + _OVERHEAD


def cone_bytes(shape: tuple[int, int, int], data: tuple[int, int, int]) -> int:
    """Peak memory of a cone-beam simulation and the direct method: volumes and projections.

    Args:
        shape: (z, y, x) of the volume.
        data: (rows, views, cells) of the data.
    """
    return _ct_arrays(math.prod(shape), math.prod(data), "fdk") + _OVERHEAD


def mr_bytes(samples: int) -> int:
    """Peak memory of an MR run with ``samples`` complex k-space samples, over all coils and slices."""
    return _MR_COPIES * 2 * _FLOAT * samples // 2 + _OVERHEAD


def run_bytes(measurement: Measurement, grid: Volume, method: str) -> int:
    """Peak memory of a reconstruction with its scores and report, beside what the measurement takes already."""
    if grid.modality == "MR":
        return mr_bytes(measurement.y.numel())
    finer = 0 if measurement.finer is None else _FINER_VOLUMES.get(method, 0) * measurement.finer.numel()
    return _ct_arrays(grid.data.numel(), measurement.y.numel(), method) + _FLOAT * finer + _OVERHEAD


def _ct_arrays(voxels: int, rays: int, method: str) -> int:
    return _FLOAT * (_CT_VOLUMES.get(method, _CT_VOLUMES_OTHER) * voxels + _CT_SINOGRAMS * rays)


@contextmanager
def memory_errors(needed: int = 0) -> Iterator[None]:
    """Refuse a run that would not fit in memory, and turn an allocation that failed into one line.

    Args:
        needed: estimated peak memory of what follows, bytes; 0 where there is no estimate.

    Raises:
        InputError: more is needed than is free.
        RunError: the memory ran out all the same.
    """
    free = available_bytes()
    if needed > free:
        raise InputError(
            f"the volume needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; "
            "use a smaller volume, fewer views, or a machine with more memory"
        )
    try:
        yield
    except MemoryError:
        raise RunError("out of memory; use a smaller volume or fewer views") from None
    except RuntimeError as error:
        if "alloc" not in str(error) and "out of memory" not in str(error):
            raise
        raise RunError(f"out of memory: {' '.join(str(error).split())[:200]}") from None
