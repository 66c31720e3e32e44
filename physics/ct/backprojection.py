"""Pixel-driven backprojection with linear interpolation, weighted by the distance to the source.

For each view a pixel reads the two cells between which its ray ends, times (D/U)² in a fan beam, where D is the
distance from the source to the isocentre and U that to the pixel along the central ray (Kak & Slaney 1988, section
3.4.2). Pixels that no cell sees get nothing of the view. Of a few slices compiled loops find the places anew for each
row; of many slices, and on a GPU, a sparse matrix of a band of rows holds them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from physics.ct.geometry import FanBeam, Geometry, ImageGrid
from physics.operator import LinearOperator

_CACHE_BYTES = 2**20
"""Data of the slices that a loop takes at once, so that they stay in the cache while it goes over the rows."""

_BAND_BYTES, _BAND_BYTES_CUDA = 2**25, 2**28
"""Interpolation matrix of a band of image rows: on the CPU it stays in the cache."""

_MANY_SLICES = 20
"""Slices from which on making that matrix pays on the CPU."""

_SLICES_AT_ONCE = 16
"""Slices of one product on the CPU: few enough that what it reads out of order stays in the cache."""


class Backprojection(LinearOperator):
    """Maps (views, cells) filtered projections to a (y, x) image; axes in front are a batch.

    Args:
        geometry: the scanner's geometry, its number of cells decided.
        grid: pixels of the image.
        dtype: type of the data and of the image.
        device: device of both.
    """

    def __init__(self, geometry: Geometry, grid: ImageGrid, dtype: torch.dtype, device: torch.device) -> None:
        self.geometry, self.grid = geometry, grid
        self.domain, self.range = geometry.data_shape, grid.shape
        self.dtype, self.device = dtype, device

    def _forward(self, x: Tensor) -> Tensor:
        data = x.reshape(-1, *self.domain)
        image = data.new_empty((len(data), *self.range))
        (by_matrix if x.is_cuda or len(data) >= _MANY_SLICES else by_loops)(self, data, image)
        return image.reshape(*x.shape[:-2], *self.range)

    def _adjoint(self, y: Tensor) -> Tensor:
        image = y.reshape(-1, *self.range)
        data = image.new_zeros((len(image), *self.domain))
        (adjoint_by_matrix if y.is_cuda else _adjoint_by_loops)(self, image, data)
        return data.reshape(*y.shape[:-2], *self.domain)


def by_loops(operator: Backprojection, data: Tensor, image: Tensor) -> None:
    """Backprojection of (slices, views, cells) on the CPU, written to ``image``."""
    from physics.ct.backprojection_kernels import backproject

    for some, target in zip(_groups(data, data), _groups(image, data), strict=True):
        # the loops read a cell's upper neighbour, so that a single cell gets one
        seen = some if some.shape[-1] > 1 else torch.nn.functional.pad(some, (0, 1))
        _in_threads(operator, backproject, seen, target, operator.range[0])


def _adjoint_by_loops(operator: Backprojection, image: Tensor, data: Tensor) -> None:
    from physics.ct.backprojection_kernels import project

    for some, target in zip(_groups(image, data), _groups(data, data), strict=True):
        seen = target if target.shape[-1] > 1 else torch.nn.functional.pad(target, (0, 1))
        _in_threads(operator, project, some, seen, operator.domain[0])
        target.copy_(seen[..., : target.shape[-1]])


def _groups(slices: Tensor, data: Tensor) -> tuple[Tensor, ...]:
    """The slices that the loops take at once, as many as have data that stay in the cache."""
    return slices.split(max(1, _CACHE_BYTES // (data[0].numel() * data.element_size())))


def _in_threads(operator: Backprojection, loop: Callable[..., object], start: Tensor, end: Tensor, items: int) -> None:
    from physics.compiled import in_threads

    source, target, facts = start.contiguous().numpy(), end.numpy(), _facts(operator, start)
    cells = operator.domain[1]
    in_threads(lambda first, last: loop(source, *facts, cells, target, first, last), items)


def _facts(operator: Backprojection, like: Tensor) -> tuple[np.ndarray, ...]:
    """What the loops must know of the geometry and the grid, see :mod:`physics.ct.backprojection_kernels`."""
    geometry, angles = operator.geometry, np.asarray(operator.geometry.angles)
    nearness, scale = 0.0, 1 / geometry.pitch
    if isinstance(geometry, FanBeam):
        nearness, scale = 1 / geometry.source_isocentre, scale * geometry.source_detector / geometry.source_isocentre
    y, x = _centres(operator.grid)
    centre = (geometry.data_shape[1] - 1) / 2 - geometry.offset / geometry.pitch
    values = np.cos(angles), np.sin(angles), [nearness], y, x, [scale], [centre]
    return tuple(torch.as_tensor(np.asarray(value)).to(like).numpy() for value in values)


def _centres(grid: ImageGrid) -> tuple[np.ndarray, np.ndarray]:
    """(y,) and (x,) centres of the pixels, mm."""
    y, x = ((np.arange(n) - (n - 1) / 2) * step for n, step in zip(grid.shape, grid.spacing, strict=True))
    return y, x


def by_matrix(operator: Backprojection, data: Tensor, image: Tensor) -> None:
    """Backprojection of (slices, views, cells) as one sparse product for each band of image rows, written to
    ``image``."""
    at_once = len(data) if data.is_cuda else _SLICES_AT_ONCE
    columns = [part.flatten(1).t().contiguous() for part in data.split(at_once)]
    for band, matrix in _bands(operator, data):
        for part, target in zip(columns, image.split(at_once), strict=True):
            target[:, band] = (matrix @ part).t().reshape(len(target), -1, operator.range[1])


def adjoint_by_matrix(operator: Backprojection, image: Tensor, data: Tensor) -> None:
    """The adjoint of :func:`by_matrix`, added to ``data``."""
    for band, matrix in _bands(operator, image):
        data += (matrix.t() @ image[:, band].flatten(1).t().contiguous()).t().reshape(data.shape)


def _bands(operator: Backprojection, like: Tensor) -> Iterator[tuple[slice, Tensor]]:
    (rows, width), views = operator.range, operator.domain[0]
    most = _BAND_BYTES_CUDA if like.is_cuda else _BAND_BYTES
    height = max(1, most // (width * views * 2 * (like.element_size() + 4)))
    for first in range(0, rows, height):
        band = slice(first, min(first + height, rows))
        yield band, _interpolation_matrix(operator.geometry, operator.grid, band, like.dtype, like.device)


def _interpolation_matrix(
    geometry: Geometry, grid: ImageGrid, band: slice, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(pixels of the band, views · cells) CSR: a pixel reads two cells of each view; (D/U)² included."""
    cells = geometry.data_shape[1]
    y, x = (
        (torch.arange(n, dtype=dtype, device=device) - (n - 1) / 2) * step
        for n, step in zip(grid.shape, grid.spacing, strict=True)
    )
    y = y[band]
    beta = torch.tensor(geometry.angles, dtype=torch.float64, device=device)
    cos, sin = torch.cos(beta).to(dtype), torch.sin(beta).to(dtype)
    views = geometry.views
    cell = ((y[:, None] * sin)[:, None] + (x[:, None] * cos)[None]).view(-1, views)
    weight = torch.ones_like(cell)
    if isinstance(geometry, FanBeam):
        depth = ((y[:, None] * cos)[:, None] - (x[:, None] * sin)[None]).view(-1, views)
        inverse = depth.add_(geometry.source_isocentre).reciprocal_()
        weight = (inverse * geometry.source_isocentre).square_()
        cell.mul_(inverse).mul_(geometry.source_detector)
    cell.sub_(geometry.offset).div_(geometry.pitch).add_((cells - 1) / 2)
    weight.masked_fill_((cell < 0) | (cell > cells - 1), 0.0)
    lower = cell.floor().clamp_(0, max(cells - 2, 0))
    fraction = cell.sub_(lower)
    columns = torch.empty((*cell.shape, 2), dtype=torch.int32, device=device)
    columns[..., 0] = lower
    columns[..., 0] += cells * torch.arange(views, dtype=torch.int32, device=device)
    torch.add(columns[..., 0], min(1, cells - 1), out=columns[..., 1])
    values = torch.empty((*cell.shape, 2), dtype=dtype, device=device)
    torch.mul(weight, fraction, out=values[..., 1])
    torch.sub(weight, values[..., 1], out=values[..., 0])
    row_ends = torch.arange(0, columns.numel() + 1, 2 * views, dtype=torch.int32, device=device)
    size = (len(y) * len(x), cells * views)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(row_ends, columns.flatten(), values.flatten(), size=size, check_invariants=False)
