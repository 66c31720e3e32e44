"""A sparse matrix that is held once, and its products with many slices.

The matrix lies by rows. Its own product gathers; that of its transpose scatters, and needs no second copy. Of the two
ways to hold a system matrix, by pixels or by rays, that by pixels is the quicker one for forward projections of many
slices: it writes all over a sinogram, which stays in the cache, in place of reading all over an image, which does not.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Self

import torch
from scipy import sparse
from torch import Tensor

from physics.ct.system_matrix import CSR, transpose

# Columns multiplied at once: few enough that what a product reads or writes out of order stays in the cache.
_GATHERED_ELEMENTS, _WRITTEN_ELEMENTS, _MOST_COLUMNS = 2**21, 2**22, 16

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
        for some, target in zip(*self._groups(x, out), strict=True):
            matrix = self._matrix if some.dtype == self._matrix.dtype else self._matrix.to(some.dtype)
            # a vector's product is nearly twice as fast as that of a matrix of one column
            product = matrix @ some[0] if len(some) == 1 else (matrix @ some.t().contiguous()).t()
            target += product.reshape(target.shape)

    def add_transposed_product(self, x: Tensor, out: Tensor) -> None:
        """``out[k] += Mᵀ x[k]`` for every slice k.

        Args:
            x: (slices, rows).
            out: (slices, ...) with as many elements a slice as M has columns.
        """
        for some, target in zip(*self._groups(x, out), strict=True):
            columns = some.t().contiguous()
            if self._transposed is not None:
                product = self._transposed.to(some.dtype) @ columns
            else:
                product = self._scattered(columns)
            target += product.t().reshape(target.shape)

    def _groups(self, x: Tensor, out: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        if x.is_cuda:
            return (x,), (out,)
        size = min(_GATHERED_ELEMENTS // min(self.shape), _WRITTEN_ELEMENTS // max(self.shape), _MOST_COLUMNS)
        return x.split(max(1, size)), out.split(max(1, size))

    def _scattered(self, columns: Tensor) -> Tensor:
        """Mᵀ X of X (rows, n) on the CPU, the rows of M shared among threads that each write to an array of its own."""
        if len(self._parts) == 1:
            return torch.from_numpy(self._parts[0][1] @ columns.numpy())
        with ThreadPoolExecutor(len(self._parts)) as pool:
            found = list(pool.map(lambda part: part[1] @ columns.numpy()[part[0]], self._parts))
        for each in found[1:]:
            found[0] += each
        return torch.from_numpy(found[0])


def _sparse(rows: CSR, width: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(*rows, size=(len(rows.crow) - 1, width), check_invariants=False)


def _parts(rows: CSR, width: int) -> list[tuple[slice, sparse.csc_array]]:
    """The transposes of some consecutive rows each, with about as many entries, one for each thread; they share the
    memory of ``rows``."""
    crow, column, value = (each.numpy() for each in rows)
    count = torch.get_num_threads() if len(value) > _LEAST_ENTRIES else 1
    edges = [int(crow.searchsorted(len(value) * k // count)) for k in range(count)] + [len(crow) - 1]
    edges[0] = 0
    parts = []
    for first, end in pairwise(edges):
        entries = slice(crow[first], crow[end])
        pointers = crow[first : end + 1] - crow[first]
        matrix = sparse.csc_array((value[entries], column[entries], pointers), shape=(width, end - first), copy=False)
        parts.append((slice(first, end), matrix))
    return parts
