"""The CT projector: parallel or fan beam, many slices at once, with its exact adjoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import torch
from torch import Tensor

from physics.ct.fbp import Window, fbp
from physics.ct.geometry import Geometry, ImageGrid, geometry_from_dict
from physics.ct.sparse_product import SparseProduct
from physics.ct.system_matrix import CSR, Builder, build_by_pixels, matrix_bytes, transpose
from physics.norm import perron_bound
from physics.operator import LinearOperator

DEFAULT_MATRIX_BYTES = 3 * 2**30
"""Largest matrix that a projector keeps; above it, blocks of views are rebuilt at each use."""

_BLOCK_BYTES = 512 * 2**20


@dataclass(frozen=True)
class _Block:
    """Aᵀ of some views by pixels, whose first is ``first``."""

    first: int
    by_pixels: SparseProduct


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

    The matrix (see :mod:`physics.ct.system_matrix`) is held once, by pixels, so that forward and adjoint are an exact
    pair. If it would exceed ``max_bytes``, views are processed in blocks that are built when needed and dropped:
    slower, but bounded in memory.

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
        needed = matrix_bytes(self.geometry, grid, dtype.itemsize, self.device)
        self.resident = needed <= max_bytes
        views_per_block = max(1, int(self.geometry.views * min(_BLOCK_BYTES, max_bytes) / needed))
        self._starts = range(0, self.geometry.views, views_per_block)
        self._held = [self._build(start) for start in self._starts] if self.resident else []

    def _build(self, start: int) -> _Block:
        views = slice(start, start + self._starts.step)
        made = build_by_pixels(self.geometry, self.grid, views, self.builder, self.device, self.dtype)
        return self._block(start, made)

    def _block(self, start: int, by_pixels: CSR) -> _Block:
        views = len(range(start, min(start + self._starts.step, self.geometry.views)))
        return _Block(start, SparseProduct(by_pixels, views * self.geometry.data_shape[1]))

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
            block.by_pixels.add_transposed_product(slices, part)
        return sinogram.reshape(*x.shape[:-2], *self.geometry.data_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        sinogram = y.reshape(-1, *self.geometry.data_shape)
        image = y.new_zeros((sinogram.shape[0], *self.grid.shape))
        for block in self._blocks():
            part = sinogram[:, block.first : block.first + self._starts.step]
            block.by_pixels.add_product(part.flatten(1), image)
        return image.reshape(*y.shape[:-2], *self.grid.shape)

    def save(self, path: Path) -> None:
        """Write the matrix by rays to a safetensors file that :meth:`load` reads, whoever built it."""
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {}
        for block in self._blocks():
            by_rays = transpose(block.by_pixels.rows, block.by_pixels.shape[1])
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
        projector._starts = range(0, projector.geometry.views, facts["views_per_block"])
        projector._held = [projector._restore(tensors, start) for start in projector._starts]
        return projector

    def _restore(self, tensors: dict[str, Tensor], start: int) -> _Block:
        by_rays = CSR(*(tensors[f"{start}.{name}"].to(self.device) for name in CSR._fields))
        return self._block(start, transpose(by_rays, self.grid.shape[0] * self.grid.shape[1]))
