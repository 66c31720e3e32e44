"""The product of the transpose of a sparse matrix with columns of 16 slices, as a compiled loop.

Each entry of the matrix costs one multiplication and addition of :data:`WIDTH` numbers that lie side by side. The
compiler does not find this by itself, so that :func:`_add_scaled` states it as an operation on a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from physics.compiled import compiled

WIDTH = 16
"""Columns that are multiplied at once: in single precision they fill a line of the cache."""

_LINE = 64
"""Bytes of a line of the cache, at whose multiples the rows of columns begin."""


@intrinsic  # numba calls it with the context before these arguments
def _add_scaled(context: Any, out: Any, at: Any, factor: Any, x: Any, start: Any) -> Any:
    """``out[at : at + WIDTH] += factor * x[start : start + WIDTH]`` of arrays and a factor of one type."""
    if not out.dtype == x.dtype == factor:
        raise TypeError(f"arrays and factor must be of one type, not {out.dtype}, {x.dtype}, {factor}")

    def generate(target: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> Any:
        arrays = {k: target.make_array(signature.args[k])(target, builder, given[k]) for k in (0, 3)}
        number = target.get_value_type(signature.args[2])
        vector, none = ir.VectorType(number, WIDTH), ir.Constant(ir.IntType(32), 0)

        def place(array: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())

        target_place, source = place(arrays[0], given[1]), place(arrays[3], given[4])
        single = builder.insert_element(ir.Constant(vector, ir.Undefined), given[2], none)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        factors = builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), everywhere)
        # "contract" lets the processor multiply and add in one instruction
        product = builder.fmul(factors, builder.load(source, align=_LINE), flags=("contract",))
        total = builder.fadd(builder.load(target_place, align=_LINE), product, flags=("contract",))
        builder.store(total, target_place, align=_LINE)
        return target.get_dummy_value()

    return types.void(out, at, factor, x, start), generate


@compiled
def scatter(crow, column, value, x, out, first, end):  # type: ignore[no-untyped-def]
    """Add Mᵀ x to ``out``; threads need an ``out`` of their own.

    Args:
        crow, column, value: the matrix M by rows.
        x: the 16 columns, row after row in one array, whose length is 16 times the rows of M.
        out: the same of the columns of M. Both begin where a line of the cache begins, as arrays of torch do.
        first, end: the rows of M that are taken.
    """
    for row in range(first, end):
        for entry in range(crow[row], crow[row + 1]):
            factor = out.dtype.type(value[entry])
            at, start = np.int64(column[entry]) * WIDTH, np.int64(row) * WIDTH
            _add_scaled(out, at, factor, x, start)  # type: ignore[call-arg]
