"""The CT projector: parallel or fan beam, many slices at once, with its exact adjoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from physics.ct.fbp import Window, fbp
from physics.ct.geometry import Geometry, ImageGrid, geometry_from_dict
from physics.ct.sparse_product import SparseProduct
from physics.ct.system_matrix import CSR, Builder, build_by_pixels, build_by_rays, matrix_bytes, transpose
from physics.norm import perron_bound
from physics.operator import LinearOperator

DEFAULT_MATRIX_BYTES = 3 * 2**30
"""Largest matrix that a projector keeps; above it, blocks of views are rebuilt at each use."""

_BLOCK_BYTES = 512 * 2**20


_FEW_RAYS = 16
"""Pixels per ray from which on the matrix is held by rays: by pixels it would be mostly pointers."""


@dataclass(frozen=True)
class _Block:
    """A of some views, whose first is ``first``: A by rays, or Aᵀ by pixels."""

    first: int
    matrix: SparseProduct
    by_rays: bool

    def project(self, x: Tensor, out: Tensor) -> None:
        """Add A x of (slices, pixels) to ``out``."""
        (self.matrix.add_product if self.by_rays else self.matrix.add_transposed_product)(x, out)

    def backproject(self, y: Tensor, out: Tensor) -> None:
        """Add Aᵀ y of (slices, rays) to ``out``."""
        (self.matrix.add_transposed_product if self.by_rays else self.matrix.add_product)(y, out)


class Projector(LinearOperator):
    """Line integrals of attenuation along every ray, slice by slice.

    Maps (z, y, x) attenuation in 1/mm to (z, views, cells) dimensionless line integrals. A single slice is a stack of
    one.

    Args:
        geometry: scan geometry, with or without its number of cells (then enough to cover the grid).
        grid: pixels of a slice.
        dtype: type of image and data.
        device: device of image and data.
        slices: number of slices.

    Attributes:
        geometry: scan geometry with its number of cells decided.
        grid: pixels of a slice.
    """

    separable = True
    _origin: Projector | None = None  # the projector that a stack was made from

    def __init__(
        self, geometry: Geometry, grid: ImageGrid, dtype: torch.dtype, device: torch.device | str, slices: int
    ) -> None:
        if slices < 1:
            raise ValueError(f"`slices` {slices}: must be 1 or more")
        self.geometry, self.grid = geometry.covering(grid), grid
        self.dtype, self.device = dtype, torch.device(device)
        self._set_slices(slices)

    def _set_slices(self, slices: int) -> None:
        self.domain, self.range = (slices, *self.grid.shape), (slices, *self.geometry.data_shape)

    def stack(self, slices: int) -> Self:
        """The same projector for another number of slices; both share what they hold, so that it costs nothing."""
        other = copy.copy(self)
        other._origin = self._origin or self
        other._set_slices(slices)
        return other

    def _slices(self, part: slice) -> Self:
        return self.stack(len(range(*part.indices(self.domain[0]))))

    def views(self, part: slice) -> Projector:
        """The projector of some of the views."""
        raise NotImplementedError

    def filtered_adjoint(self, y: Tensor, window: str) -> Tensor:
        """Filtered backprojection, see :func:`physics.ct.fbp.fbp`."""
        return fbp(y, self.geometry, self.grid, cast(Window, window))  # fbp checks it

    def _norm_bound(self) -> float:
        """That of one slice, computed once for all stacks that share a matrix."""
        if self._origin is not None:
            return self._origin.norm_bound
        return perron_bound(self.stack(1).gram, (1, *self.grid.shape), self.dtype, self.device)


class CTProjector(Projector):
    """The projector that holds the system matrix.

    The matrix (see :mod:`physics.ct.system_matrix`) is held once, by pixels or, of few rays, by rays, so that
    forward and adjoint are an exact pair. If it would exceed ``max_bytes``, views are processed in blocks that are
    built when needed and dropped: slower, but bounded in memory.

    Args:
        geometry: scan geometry, with or without its number of cells (then enough to cover the grid).
        grid: pixels of a slice.
        dtype: float32, or float64 for tests.
        device: device of the matrix and of the data.
        max_bytes: the most bytes that what is held may take.
        builder: the builder of :func:`~physics.ct.system_matrix.build_by_pixels`.
        slices: number of slices.
    """

    def __init__(
        self,
        geometry: Geometry,
        grid: ImageGrid,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_bytes: int = DEFAULT_MATRIX_BYTES,
        builder: Builder = "siddon",
        slices: int = 1,
    ) -> None:
        super().__init__(geometry, grid, dtype, device, slices)
        self.builder: Builder = builder
        self._max_bytes = max_bytes
        self._views: WeakValueDictionary[tuple[int, int, int], CTProjector] = WeakValueDictionary()
        needed = matrix_bytes(self.geometry, grid, dtype.itemsize, self.device)
        self.resident = needed <= max_bytes
        views_per_block = max(1, int(self.geometry.views * min(_BLOCK_BYTES, max_bytes) / needed))
        self._starts = range(0, self.geometry.views, views_per_block)
        self._held = [self._build(start) for start in self._starts] if self.resident else []

    def _build(self, start: int) -> _Block:
        views = slice(start, start + self._starts.step)
        rays, pixels = self._rays_from(start), self.grid.shape[0] * self.grid.shape[1]
        by_rays = rays * _FEW_RAYS < pixels
        build = build_by_rays if by_rays else build_by_pixels
        made = build(self.geometry, self.grid, views, self.builder, self.device, self.dtype)
        return _Block(start, SparseProduct(made, pixels if by_rays else rays), by_rays)

    def _rays_from(self, start: int) -> int:
        """Number of rays of the block of views that begins at ``start``."""
        return len(range(start, min(start + self._starts.step, self.geometry.views))) * self.geometry.data_shape[1]

    def views(self, part: slice) -> CTProjector:
        """A projector of some of the views, which holds a matrix of its own if this one does.

        While one is in use, it is given again to all stacks that share what they hold.
        """
        key = part.indices(self.geometry.views)
        found = self._views.get(key)
        if found is None:
            geometry = replace(self.geometry, angles=self.geometry.angles[part])
            most = self._max_bytes * geometry.views // self.geometry.views
            found = CTProjector(geometry, self.grid, self.dtype, self.device, most, self.builder)
            self._views[key] = found
        return found.stack(self.domain[0])

    def _blocks(self) -> Iterator[_Block]:
        if self.resident:
            yield from self._held
        else:
            yield from (self._build(start) for start in self._starts)

    def _forward(self, x: Tensor) -> Tensor:
        slices = x.reshape(-1, x.shape[-2] * x.shape[-1])
        sinogram = x.new_zeros((slices.shape[0], *self.geometry.data_shape))
        for block in self._blocks():
            part = sinogram[:, block.first : block.first + self._starts.step]
            block.project(slices, part)
        return sinogram.reshape(*x.shape[:-2], *self.geometry.data_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        sinogram = y.reshape(-1, *self.geometry.data_shape)
        image = y.new_zeros((sinogram.shape[0], *self.grid.shape))
        for block in self._blocks():
            part = sinogram[:, block.first : block.first + self._starts.step]
            block.backproject(part.flatten(1), image)
        return image.reshape(*y.shape[:-2], *self.grid.shape)

    def save(self, path: Path) -> None:
        """Write the matrix by rays to a safetensors file that :meth:`load` reads, whoever built it."""
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {}
        for block in self._blocks():
            held = block.matrix.rows
            by_rays = held if block.by_rays else transpose(held, self._rays_from(block.first))
            tensors |= {f"{block.first}.{name}": part.cpu() for name, part in by_rays._asdict().items()}
        facts = {
            "geometry": self.geometry.to_dict(),
            "shape": self.grid.shape,
            "spacing": self.grid.spacing,
            "views_per_block": self._starts.step,
            "builder": self.builder,
        }
        save_file(tensors, path, metadata={"projector": json.dumps(facts)})

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu", slices: int = 1) -> CTProjector:
        """A projector of some slices from a file of :meth:`save`; ``ValueError`` if it is not one."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["projector"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            grid = ImageGrid(tuple(facts["shape"]), tuple(facts["spacing"]))
            geometry, dtype = geometry_from_dict(facts["geometry"]), tensors["0.value"].dtype
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a saved projector ({error})") from error
        projector = cls.__new__(cls)
        Projector.__init__(projector, geometry, grid, dtype, device, slices)
        projector.builder, projector.resident = facts["builder"], True
        projector._max_bytes, projector._views = DEFAULT_MATRIX_BYTES, WeakValueDictionary()
        projector._starts = range(0, projector.geometry.views, facts["views_per_block"])
        projector._held = [projector._restore(tensors, start) for start in projector._starts]
        return projector

    def _restore(self, tensors: dict[str, Tensor], start: int) -> _Block:
        rows = CSR(*(tensors[f"{start}.{name}"].to(self.device) for name in CSR._fields))
        pixels, rays = self.grid.shape[0] * self.grid.shape[1], self._rays_from(start)
        if rays * _FEW_RAYS < pixels:
            return _Block(start, SparseProduct(rows, pixels), by_rays=True)
        return _Block(start, SparseProduct(transpose(rows, pixels), rays), by_rays=False)
