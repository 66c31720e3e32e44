"""The CT system matrix: intersection lengths of every ray with every pixel, in mm.

Row ``view · cells + cell``, column ``y · nx + x``. The suite's own builder is exact and quick: on the CPU compiled
loops write the matrix or its transpose in two passes over the rays, on a GPU torch makes its entries where they are
used. ASTRA's matrix, of square pixels, is there to compare with: its lengths are off by up to 0.2 mm in single chords.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from physics.ct.chords_on_gpu import chords
from physics.ct.geometry import Geometry, ImageGrid

Builder = Literal["siddon", "astra"]


class CSR(NamedTuple):
    """A sparse matrix by rows, all on one device.

    Attributes:
        crow: (rows + 1,) int32 where each row's entries begin.
        column: (entries,) int32.
        value: (entries,).
    """

    crow: Tensor
    column: Tensor
    value: Tensor


def build_matrix(
    geometry: Geometry, grid: ImageGrid, views: slice = slice(None), builder: Builder = "siddon"
) -> sparse.csr_array:
    """The rows of the system matrix for some views.

    Args:
        geometry: the scanner's geometry, its number of cells decided.
        grid: the image's pixels.
        views: the views to build, a slice of ``geometry.angles``.
        builder: the implementation.

    Returns:
        (views · cells, ny · nx) CSR, float64 values in mm, int32 indices, columns ascending in each row.
    """
    by_pixels = build_by_pixels(geometry, grid, views, builder)
    return sparse.csr_array(_to_scipy(by_pixels, _rays_of(geometry, views)).T)


def build_by_rays(
    geometry: Geometry,
    grid: ImageGrid,
    views: slice = slice(None),
    builder: Builder = "siddon",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> CSR:
    """The system matrix A by rows, as tensors that are made on ``device`` (by ASTRA: brought there); arguments as
    :func:`build_matrix`. The columns of a row are in the order of the ray."""
    if builder == "astra":
        made = _from_scipy(_astra_matrix(geometry, views, grid))
    elif torch.device(device).type == "cuda":
        made = CSR(*chords(*_rays(geometry, views, device), grid))
    else:
        made = _by_rays_on_cpu(geometry, grid, views, dtype)
    return CSR(made.crow.to(device), made.column.to(device), made.value.to(device, dtype))


def build_by_pixels(
    geometry: Geometry,
    grid: ImageGrid,
    views: slice = slice(None),
    builder: Builder = "siddon",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> CSR:
    """The transpose Aᵀ by rows, one a pixel, its rays ascending; all else as :func:`build_by_rays`."""
    if builder == "siddon" and torch.device(device).type != "cuda":
        return _by_pixels_on_cpu(geometry, grid, views, dtype)
    by_rays = build_by_rays(geometry, grid, views, builder, device, dtype)
    return transpose(by_rays, grid.shape[0] * grid.shape[1])


def transpose(matrix: CSR, width: int) -> CSR:
    """The transpose of a matrix with ``width`` columns, on its device, whatever the order within its rows."""
    if matrix.crow.device.type == "cpu":
        return _from_scipy(sparse.csr_array(_to_scipy(matrix, width).T))  # counts, which is quicker than sorting
    return _transpose_by_sorting(matrix, width)


def _transpose_by_sorting(matrix: CSR, width: int) -> CSR:
    device, height = matrix.crow.device, len(matrix.crow) - 1
    rows = torch.arange(height, dtype=torch.int32, device=device)
    rows = rows.repeat_interleave(matrix.crow.diff(), output_size=len(matrix.column))
    column, order = torch.sort(matrix.column, stable=True)
    edges = torch.arange(width + 1, dtype=torch.int32, device=device)
    return CSR(torch.searchsorted(column, edges, out_int32=True), rows[order], matrix.value[order])


def _to_scipy(matrix: CSR, width: int) -> sparse.csr_array:
    crow, column, value = (part.numpy() for part in matrix)
    return sparse.csr_array((value, column, crow), shape=(len(crow) - 1, width))


def _from_scipy(matrix: sparse.csr_array) -> CSR:
    crow, column = (torch.from_numpy(part.astype(np.int32, copy=False)) for part in (matrix.indptr, matrix.indices))
    return CSR(crow, column, torch.from_numpy(matrix.data))


def _by_rays_on_cpu(geometry: Geometry, grid: ImageGrid, views: slice, dtype: torch.dtype) -> CSR:
    from physics.compiled import in_threads
    from physics.ct.chord_kernels import count_by_ray, fill_by_ray

    facts = _facts(geometry, views, grid)
    rays = len(facts[0])
    crow = torch.zeros(rays + 1, dtype=torch.int32)
    in_threads(lambda first, end: count_by_ray(*facts, crow.numpy()[1:], first, end), rays)
    crow = crow.cumsum(0, dtype=torch.int32)
    made = CSR(crow, torch.empty(int(crow[-1]), dtype=torch.int32), torch.empty(int(crow[-1]), dtype=dtype))
    arrays = [part.numpy() for part in made]
    in_threads(lambda first, end: fill_by_ray(*facts, *arrays, first, end), rays)
    return made


def _by_pixels_on_cpu(geometry: Geometry, grid: ImageGrid, views: slice, dtype: torch.dtype) -> CSR:
    """Each thread writes some consecutive rays, whose places in each pixel's row follow those of the thread before."""
    from physics.compiled import in_threads
    from physics.ct.chord_kernels import count_by_pixel, fill_by_pixel

    facts, pixels = _facts(geometry, views, grid), grid.shape[0] * grid.shape[1]
    rays, threads = len(facts[0]), torch.get_num_threads()
    edges = [rays * k // threads for k in range(threads + 1)]
    counts = np.zeros((threads, pixels), dtype=np.int32)

    def each_part(work: Callable[..., object], table: np.ndarray, *arrays: np.ndarray) -> None:
        def run(first: int, end: int) -> None:
            for k in range(first, end):
                work(*facts, table[k], *arrays, edges[k], edges[k + 1])

        in_threads(run, threads)

    each_part(count_by_pixel, counts)
    crow = np.zeros(pixels + 1, dtype=np.int32)
    np.cumsum(counts.sum(0), out=crow[1:])
    places = crow[:-1] + np.cumsum(counts, axis=0, dtype=np.int32) - counts
    column, value = torch.empty(int(crow[-1]), dtype=torch.int32), torch.empty(int(crow[-1]), dtype=dtype)
    each_part(fill_by_pixel, places, column.numpy(), value.numpy())
    return CSR(torch.from_numpy(crow), column, value)


def _facts(geometry: Geometry, views: slice, grid: ImageGrid) -> tuple[np.ndarray, ...]:
    """What the loops must know, see :mod:`physics.ct.chord_kernels`."""
    start, direction = (part.contiguous().numpy() for part in _rays(geometry, views, "cpu"))
    return start, direction, np.array(grid.shape[::-1], dtype=np.int64), np.array(grid.spacing[::-1], dtype=float)


def _rays_of(geometry: Geometry, views: slice) -> int:
    return len(range(*views.indices(geometry.views))) * geometry.data_shape[1]


def matrix_bytes(geometry: Geometry, grid: ImageGrid, itemsize: int = 4, device: torch.device | str = "cpu") -> int:
    """Upper estimate of the memory of what a projector holds, from the longest path through the grid.

    On the CPU that is the matrix alone, on a GPU its transpose as well.
    """
    ny, nx = grid.shape
    rays = geometry.views * min(geometry.data_shape[1], _cells_across(geometry, grid))
    entries = rays * 0.64 * (nx + ny)  # a chord crosses 4/π·(nx + ny)/2 pixels, averaged over directions
    copies = 2 if torch.device(device).type == "cuda" else 1
    return int(copies * entries * (itemsize + 4))


def _cells_across(geometry: Geometry, grid: ImageGrid) -> int:
    """Cells that the grid's shadow covers, at most."""
    magnification = getattr(geometry, "source_detector", 1.0) / getattr(geometry, "source_isocentre", 1.0)
    return int(2.1 * grid.corner_radius * magnification / geometry.pitch) + 1


def _astra_matrix(geometry: Geometry, views: slice, grid: ImageGrid) -> sparse.csr_array:
    """ASTRA's ``line`` / ``line_fanflat`` matrix, whose CPU projectors are exactly this matrix.

    ASTRA's first row is the largest y and ours the smallest, so the geometry is mirrored in y.
    """
    import astra

    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    mirrored = geometry.vectors()[views] * np.array([1.0, -1.0] * 3)
    volume = astra.create_vol_geom(ny, nx, -nx * dx / 2, nx * dx / 2, -ny * dy / 2, ny * dy / 2)
    names = {"parallel": ("parallel_vec", "line"), "fan": ("fanflat_vec", "line_fanflat")}[geometry.kind]
    projector = astra.create_projector(
        names[1], astra.create_proj_geom(names[0], geometry.data_shape[1], mirrored), volume
    )
    try:
        identifier = astra.projector.matrix(projector)
        try:
            return sparse.csr_array(astra.matrix.get(identifier))
        finally:
            astra.matrix.delete(identifier)
    finally:
        astra.projector.delete(projector)


def _rays(geometry: Geometry, views: slice, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """(views · cells, 2) a point (x, y) on each ray, mm, and its unit direction, float64."""
    vectors, cells = torch.tensor(geometry.vectors()[views].copy(), device=device), geometry.data_shape[1]
    position = torch.arange(cells, dtype=torch.float64, device=device)[:, None] - (cells - 1) / 2
    first, centre, step = (part[:, None] for part in vectors.split(2, dim=1))
    target = centre + position * step
    start, direction = (target, first) if geometry.kind == "parallel" else (first, target - first)
    start, direction = (part.expand(target.shape).reshape(-1, 2) for part in (start, direction))
    return start, direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)
