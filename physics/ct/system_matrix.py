"""The CT system matrix: intersection lengths of every ray with every pixel, in mm.

Row ``view · cells + cell``, column ``y · nx + x``. ASTRA builds it where ASTRA is installed (Linux and
Windows on x86-64) and pixels are square (ASTRA 2.5's line kernels are off for others); elsewhere the
suite's own line integrator gives the same entries. Nothing but this module needs ASTRA for CT on the CPU.
On a CUDA device that integrator is the quicker one, since its rows are made where they are used.
"""

from __future__ import annotations

import importlib.util
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from physics.ct.geometry import Geometry, ImageGrid

Builder = Literal["astra", "siddon"]

# Ray steps at once, some 160 bytes each. On a CPU so few that their arrays stay in the cache and in one thread, as
# threads gain little here and lose much where cores are shared; on a GPU 0.7 GB of them.
_STEPS_CPU, _STEPS_CUDA = 16_000, 2**22


class CSR(NamedTuple):
    """A sparse matrix by rows, its columns ascending in each row, all on one device.

    Attributes:
        crow: (rows + 1,) int32 where each row's entries begin.
        column: (entries,) int32.
        value: (entries,).
    """

    crow: Tensor
    column: Tensor
    value: Tensor


def default_builder(grid: ImageGrid, device: torch.device | str = "cpu") -> Builder:
    """``"astra"`` where ASTRA is installed and right (square pixels) and the device is no GPU, else ``"siddon"``."""
    if torch.device(device).type == "cuda":
        return "siddon"
    square = abs(grid.spacing[0] - grid.spacing[1]) <= 1e-6 * grid.spacing[0]
    return "astra" if square and importlib.util.find_spec("astra") else "siddon"


def build_matrix(
    geometry: Geometry, grid: ImageGrid, views: slice = slice(None), builder: Builder | None = None
) -> sparse.csr_array:
    """The rows of the system matrix for some views.

    Args:
        geometry: the scanner's geometry, its number of cells decided.
        grid: the image's pixels.
        views: the views to build, a slice of ``geometry.angles``.
        builder: the implementation; None takes :func:`default_builder`.

    Returns:
        (views · cells, ny · nx) CSR, float64 values in mm, int32 indices.
    """
    return _to_scipy(build_csr(geometry, grid, views, builder), grid.shape[0] * grid.shape[1])


def build_csr(
    geometry: Geometry,
    grid: ImageGrid,
    views: slice = slice(None),
    builder: Builder | None = None,
    device: torch.device | str = "cpu",
) -> CSR:
    """What :func:`build_matrix` gives, as tensors that are made on ``device`` (by ASTRA: brought there)."""
    vectors, cells = geometry.vectors()[views], geometry.data_shape[1]
    if (builder or default_builder(grid, device)) == "astra":
        return CSR(*(part.to(device) for part in _from_scipy(_astra_matrix(geometry.kind, vectors, cells, grid))))
    return _siddon(geometry.kind, torch.tensor(vectors.copy(), device=device), cells, grid)


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


def matrix_bytes(geometry: Geometry, grid: ImageGrid, itemsize: int = 4) -> int:
    """Upper estimate of the memory of A and Aᵀ together, from the longest path through the grid."""
    ny, nx = grid.shape
    rays = geometry.views * min(geometry.data_shape[1], _cells_across(geometry, grid))
    entries = rays * 0.64 * (nx + ny)  # a chord crosses 4/π·(nx + ny)/2 pixels, averaged over directions
    return int(2 * entries * (itemsize + 4))


def _cells_across(geometry: Geometry, grid: ImageGrid) -> int:
    """Cells that the grid's shadow covers, at most."""
    magnification = getattr(geometry, "source_detector", 1.0) / getattr(geometry, "source_isocentre", 1.0)
    return int(2.1 * grid.corner_radius * magnification / geometry.pitch) + 1


def _astra_matrix(kind: str, vectors: np.ndarray, cells: int, grid: ImageGrid) -> sparse.csr_array:
    """ASTRA's ``line`` / ``line_fanflat`` matrix, whose CPU projectors are exactly this matrix.

    ASTRA's first row is the largest y and ours the smallest, so the geometry is mirrored in y.
    """
    import astra

    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    mirrored = vectors * np.array([1.0, -1.0] * 3)
    volume = astra.create_vol_geom(ny, nx, -nx * dx / 2, nx * dx / 2, -ny * dy / 2, ny * dy / 2)
    names = {"parallel": ("parallel_vec", "line"), "fan": ("fanflat_vec", "line_fanflat")}[kind]
    projector = astra.create_projector(names[1], astra.create_proj_geom(names[0], cells, mirrored), volume)
    try:
        identifier = astra.projector.matrix(projector)
        try:
            return sparse.csr_array(astra.matrix.get(identifier))
        finally:
            astra.matrix.delete(identifier)
    finally:
        astra.projector.delete(projector)


def _siddon(kind: str, vectors: Tensor, cells: int, grid: ImageGrid) -> CSR:
    """The rows of all views, made where ``vectors`` are, stepping along each ray's major axis.

    That axis is the one along which the ray crosses more pixels. In one pixel's step along it a ray crosses at most one
    grid line of the other axis, the one nearest to the step's middle; so a step is in at most two pixels, and no
    crossings need sorting (unlike in Siddon 1985, whose lengths these are).

    Args:
        kind: ``"parallel"`` or ``"fan"``.
        vectors: (views, 6) float64, see :meth:`~physics.ct.geometry.Detector.vectors`.
        cells: the number of detector cells.
        grid: the image's pixels.
    """
    start, direction = _rays(kind, vectors, cells)
    (ny, nx), device = grid.shape, vectors.device
    spacing = torch.tensor(grid.spacing[::-1], dtype=torch.float64, device=device)
    size = torch.tensor((nx, ny), dtype=torch.int32, device=device)
    stride = torch.tensor((1, nx), dtype=torch.int32, device=device)
    steep = direction.abs() / spacing
    major = (steep[:, 1] > steep[:, 0]).long()[:, None]
    # A ray may run either way: here, up its major axis. The 0 makes no -0, whose infinities had the wrong sign.
    direction = torch.where(direction.gather(1, major) < 0, -direction, direction) + 0.0

    low, high = ((side * size.double() / 2 * spacing - start) / direction for side in (-1, 1))
    first, last = torch.fmin(low, high), torch.fmax(low, high)  # infinite across a ray along an axis, NaN on a side
    entry, leave = first[:, 0].fmax(first[:, 1]), last[:, 0].fmin(last[:, 1])
    hit = (entry < leave).nonzero()[:, 0]
    axes = torch.cat([major, 1 - major], dim=1)[hit]
    rays = [start[hit].gather(1, axes), direction[hit].gather(1, axes), torch.stack([entry, leave], 1)[hit]]
    rays += [spacing[axes], size[axes], stride[axes]]

    at_once = max(1, (_STEPS_CPU if device.type == "cpu" else _STEPS_CUDA) // max(nx, ny))
    steps = torch.arange(max(nx, ny) + 1, dtype=torch.int32, device=device)
    parts = [_entries(steps, *part) for part in zip(*(facts.split(at_once) for facts in rays), strict=True)]
    count, column, value = (torch.cat(part) for part in zip(*parts, strict=True))
    crow = torch.zeros(len(start) + 1, dtype=torch.int64, device=device)
    crow[hit + 1] = count
    matrix = CSR(crow.cumsum(0).int(), column, value)
    return transpose(transpose(matrix, ny * nx), len(start))  # twice, for columns that ascend


def _entries(
    steps: Tensor, start: Tensor, direction: Tensor, extent: Tensor, spacing: Tensor, size: Tensor, stride: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels that some rays cross.

    Args:
        steps: (n + 1,) int32, 0 to the number n of steps.
        start: (rays, 2) a point on each ray, mm; this and all below along the ray's major axis, then across it.
        direction: (rays, 2) its unit direction.
        extent: (rays, 2) where it enters and leaves the grid, in mm from ``start``.
        spacing: (rays, 2) of the pixels, mm.
        size: (rays, 2) int32 number of pixels.
        stride: (rays, 2) int32 step in the pixels' index.

    Returns:
        (rays,) how many pixels each ray has; then all their int32 indices and their lengths in mm, ray by ray.
    """
    s, d, pitch, centre = (facts.split(1, dim=1) for facts in (start, direction, spacing, size.double() / 2))
    edges = (((steps - centre[0]) * pitch[0] - s[0]) / d[0]).clamp(extent[:, :1], extent[:, 1:])
    begin, end = edges[:, :-1], edges[:, 1:]
    line = ((begin + end) * (d[1] / pitch[1] / 2) + (s[1] / pitch[1] + centre[1] + 0.5)).int()  # rounded
    split = ((line - centre[1]) * pitch[1] - s[1]) / d[1]
    split = split.fmax(begin).fmin(end)  # NaN for a ray in a grid line, which counts as in the upper pixel
    length = torch.stack([split - begin, end - split], dim=2)
    up = (d[1] >= 0).int()
    across = torch.stack([line - up, line + (up - 1)], dim=2)
    least = 1e-9 * spacing.amin(dim=1)[:, None, None]
    keep = (length > least) & (across >= 0) & (across < size[:, 1:, None])
    pixel = across * stride[:, 1:, None] + (steps[:-1] * stride[:, :1])[:, :, None]
    kept = keep.flatten().nonzero()[:, 0]
    return keep.sum((1, 2)), pixel.flatten().index_select(0, kept), length.flatten().index_select(0, kept)


def _rays(kind: str, vectors: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """(views · cells, 2) a point (x, y) on each ray, mm, and its unit direction."""
    position = torch.arange(cells, dtype=torch.float64, device=vectors.device)[:, None] - (cells - 1) / 2
    first, centre, step = (part[:, None] for part in vectors.split(2, dim=1))
    target = centre + position * step
    start, direction = (target, first) if kind == "parallel" else (first, target - first)
    start, direction = (part.expand(target.shape).reshape(-1, 2) for part in (start, direction))
    return start, direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)
