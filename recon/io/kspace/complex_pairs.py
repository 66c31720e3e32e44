"""Complex numbers as programs without a complex type store them: in pairs of real and imaginary part."""

from __future__ import annotations

import numpy as np

_NAMES = (("real", "imag"), ("re", "im"), ("r", "i"))


def complex_parts(dtype: np.dtype) -> tuple[str, str] | None:
    """The names of the fields that hold real and imaginary part, or None for another type."""
    names = tuple((name.lower(), name) for name in dtype.names or ())
    for pair in _NAMES:
        if tuple(small for small, _ in names) == pair and all(dtype[name].kind in "iuf" for _, name in names):
            return names[0][1], names[1][1]
    return None


def as_complex(values: np.ndarray) -> np.ndarray:
    """complex64 of complex numbers, of records of two parts, or of real numbers whose last axis has length 2."""
    parts = complex_parts(values.dtype)
    if parts is not None:
        return np.asarray(values[parts[0]] + 1j * values[parts[1]], np.complex64)
    if values.dtype.kind != "c":
        return np.asarray(values[..., 0] + 1j * values[..., 1], np.complex64)
    return values.astype(np.complex64, copy=False)
