"""A sparse matrix that is held once, and its products with many slices.

The matrix lies by rows. Its own product gathers; that of its transpose scatters, and needs no second copy. Of the two
ways to hold a system matrix, by pixels or by rays, that by pixels is the quicker one for forward projections of many
slices: it writes all over a sinogram, which stays in the cache, in place of reading all over an image, which does not.
Gathering is torch's; what scatters into sixteen slices at once is a compiled loop
(:mod:`physics.ct.sparse_kernels`), and into a single one scipy's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from scipy import sparse
from torch import Tensor

from physics.ct.system_matrix import CSR, transpose

_LEAST_ENTRIES = 100_000
"""Entries of a matrix below which a second thread costs more than it saves."""


class SparseProduct:
    """The products of a matrix and of its transpose. It is never written to, so that copies share it.

    On a GPU, where threads that scatter would wait for one another, the transpose is held as well.

    Args:
        rows: the matrix by rows, on the device of the data.
        width: number of its columns.
    """

    def __init__(self, rows: CSR, width: int) -> None:
        self.rows, self.shape = rows, (len(rows.crow) - 1, width)
        self._matrix = _sparse(rows, width)
        self._transposed = _sparse(transpose(rows, width), self.shape[0]) if rows.value.is_cuda else None
        self._parts = [] if rows.value.is_cuda else _parts(rows, width)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def add_product(self, x: Tensor, out: Tensor) -> None:
        """``out[k] += M x[k]`` for every slice k.

        Args:
            x: (slices, columns).
            out: (slices, ...) with as many elements a slice as M has rows.
        """
        matrix = self._matrix if x.dtype == self._matrix.dtype else self._matrix.to(x.dtype)
        for some, target in zip(*_groups(x, out), strict=True):
            # a vector's product is nearly twice as fast as that of a matrix of one column
            product = matrix @ some[0] if len(some) == 1 else (matrix @ some.t().contiguous()).t()
            target += product.reshape(target.shape)

    def add_transposed_product(self, x: Tensor, out: Tensor) -> None:
        """``out[k] += Mᵀ x[k]`` for every slice k.

        Args:
            x: (slices, rows).
            out: (slices, ...) with as many elements a slice as M has columns.
        """
        if self._transposed is not None:
            out += (self._transposed.to(x.dtype) @ x.t()).t().reshape(out.shape)
            return
        for some, target in zip(*_groups(x, out), strict=True):
            if len(some) == 1:
                target += self._scattered_vector(some[0]).reshape(target.shape)
            else:
                found = self._scattered(_side_by_side(some))
                target += found[:, : len(some)].t().reshape(target.shape)

    def _scattered(self, columns: Tensor) -> Tensor:
        """Mᵀ X of X (rows, 16) on the CPU, the rows shared among threads that each write to an array of their own."""
        from physics.ct.sparse_kernels import scatter

        matrix, x = [part.numpy() for part in self.rows], columns.numpy().ravel()

        def found(part: _Part) -> Tensor:
            out = columns.new_zeros((self.shape[1], columns.shape[1]))
            scatter(*matrix, x, out.numpy().ravel(), part.rows.start, part.rows.stop)
            return out

        return _sum_in_threads(found, self._parts)

    def _scattered_vector(self, column: Tensor) -> Tensor:
        """Mᵀ x of x (rows,) on the CPU."""
        return _sum_in_threads(lambda part: torch.from_numpy(part.transpose @ column.numpy()[part.rows]), self._parts)


class _Part(NamedTuple):
    """Some consecutive rows of a matrix for one thread, and their transpose, which shares the memory of the matrix."""

    rows: slice
    transpose: sparse.csc_array


def _groups(x: Tensor, out: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """On a CPU, as many slices at once as the compiled loop multiplies."""
    if x.is_cuda:
        return (x,), (out,)
    from physics.ct.sparse_kernels import WIDTH

    return x.split(WIDTH), out.split(WIDTH)


def _side_by_side(slices: Tensor) -> Tensor:
    """(n, elements) slices as the columns of (elements, 16), zero beyond n."""
    from physics.ct.sparse_kernels import WIDTH

    if len(slices) == WIDTH:
        return slices.t().contiguous()
    columns = slices.new_zeros((slices.shape[1], WIDTH))
    columns[:, : len(slices)] = slices.t()
    return columns


def _sum_in_threads(found: Callable[[_Part], Tensor], parts: list[_Part]) -> Tensor:
    """The sum of what is found of each part, each in a thread of its own."""
    if len(parts) == 1:
        return found(parts[0])
    with ThreadPoolExecutor(len(parts)) as pool:
        total, *others = pool.map(found, parts)
    for each in others:
        total += each
    return total


def _sparse(rows: CSR, width: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(*rows, size=(len(rows.crow) - 1, width), check_invariants=False)


def _parts(rows: CSR, width: int) -> list[_Part]:
    """Some consecutive rows each, with about as many entries, one for each thread."""
    crow, column, value = (each.numpy() for each in rows)
    threads = torch.get_num_threads() if len(value) > _LEAST_ENTRIES else 1
    inner = (int(crow.searchsorted(len(value) * k // threads)) for k in range(1, threads))
    parts = []
    for first, end in pairwise([0, *inner, len(crow) - 1]):
        entries = slice(crow[first], crow[end])
        pointers = crow[first : end + 1] - crow[first]
        matrix = sparse.csc_array((value[entries], column[entries], pointers), shape=(width, end - first), copy=False)
        parts.append(_Part(slice(first, end), matrix))
    return parts
