"""The CT system matrix: intersection lengths of every ray with every pixel, in mm.

Row ``view · cells + cell``, column ``y · nx + x``. ASTRA builds it where ASTRA is installed (Linux and
Windows on x86-64) and pixels are square (ASTRA 2.5's line kernels are off for others); elsewhere the
suite's own line integrator gives the same entries. Nothing but this module needs ASTRA for CT on the CPU.
"""

from __future__ import annotations

import importlib.util
from typing import Literal

import numpy as np
from scipy import sparse

from physics.geometry import Geometry, ImageGrid

Builder = Literal["astra", "siddon"]


def default_builder(grid: ImageGrid) -> Builder:
    """``"astra"`` where ASTRA is installed and right (square pixels), else ``"siddon"``."""
    square = abs(grid.spacing[0] - grid.spacing[1]) <= 1e-6 * grid.spacing[0]
    return "astra" if square and importlib.util.find_spec("astra") else "siddon"


def build_matrix(
    geometry: Geometry, grid: ImageGrid, views: slice = slice(None), builder: Builder | None = None
) -> sparse.csr_array:
    """The rows of the system matrix for some views.

    Args:
        geometry: with its number of cells decided.
        grid: the image's pixels.
        views: which views, as a slice of ``geometry.angles``.
        builder: which implementation; None takes :func:`default_builder`.

    Returns:
        (views · cells, ny · nx) CSR, float64 values in mm, int32 indices.
    """
    vectors, cells = geometry.vectors()[views], geometry.data_shape[1]
    if (builder or default_builder(grid)) == "astra":
        return _astra_matrix(geometry.kind, vectors, cells, grid)
    rows = [_siddon_view(geometry.kind, vector, cells, grid) for vector in vectors]
    return sparse.csr_array(sparse.vstack(rows, format="csr"))


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


def _siddon_view(kind: str, vector: np.ndarray, cells: int, grid: ImageGrid) -> sparse.csr_array:
    """One view's rows by sorting where each ray crosses grid lines (Siddon 1985, eqs. 1-13)."""
    start, direction = _rays(kind, vector, cells)
    (ny, nx), (dy, dx) = grid.shape, grid.spacing
    edges_x, edges_y = (np.arange(nx + 1) - nx / 2) * dx, (np.arange(ny + 1) - ny / 2) * dy
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tx = (edges_x - start[:, :1]) / direction[:, :1]
        ty = (edges_y - start[:, 1:]) / direction[:, 1:]
    entry = np.fmax(np.fmin(tx[:, 0], tx[:, -1]), np.fmin(ty[:, 0], ty[:, -1]))[:, None]
    leave = np.fmin(np.fmax(tx[:, 0], tx[:, -1]), np.fmax(ty[:, 0], ty[:, -1]))[:, None]
    hit = entry < leave  # a ray beside the grid and along an axis has infinities here
    entry, leave = np.where(hit, entry, 0.0), np.where(hit, leave, 0.0)
    crossings = np.concatenate([tx, ty], axis=1)
    crossings = np.where(np.isfinite(crossings), crossings, entry)
    crossings = np.sort(np.clip(crossings, entry, leave), axis=1)
    lengths = np.diff(crossings, axis=1)
    middle = (crossings[:, 1:] + crossings[:, :-1]) / 2
    column = np.floor((start[:, :1] + middle * direction[:, :1]) / dx + nx / 2).astype(np.int64)
    row = np.floor((start[:, 1:] + middle * direction[:, 1:]) / dy + ny / 2).astype(np.int64)
    tolerance = 1e-9 * min(dx, dy)
    keep = (lengths > tolerance) & (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    ray = np.broadcast_to(np.arange(cells)[:, None], lengths.shape)[keep]
    pixel = (row * nx + column)[keep]
    matrix = sparse.csr_array((lengths[keep], (ray, pixel)), shape=(cells, ny * nx))
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def _rays(kind: str, vector: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """(cells, 2) a point on each ray and its unit direction."""
    target = vector[2:4] + (np.arange(cells) - (cells - 1) / 2)[:, None] * vector[4:6]
    if kind == "parallel":
        direction = np.broadcast_to(vector[:2], target.shape)
        start = target
    else:
        start = np.broadcast_to(vector[:2], target.shape)
        direction = target - start
    return start, direction / np.linalg.norm(direction, axis=1, keepdims=True)
