"""HDF5 files: one line for a bad one, values that are what they should be, and writing that fails cleanly."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, require_file

if TYPE_CHECKING:
    import h5py

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether the file begins like HDF5 (a truncated file does too)."""
    with path.open("rb") as stream:
        return stream.read(8) == _SIGNATURE


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """The file, open for reading; :class:`InputError` if it is not HDF5 or ends too early."""
    import h5py

    require_file(path)
    if not is_hdf5(path):
        raise InputError(f"{path}: not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # h5py's ways to say it is damaged
        raise InputError(f"{path}: damaged or truncated HDF5 file ({' '.join(str(error).split())})") from error


@contextmanager
def create_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new file, built in memory and written when the block ends.

    A disk that is full fails one plain write here; within HDF5 it would fail again, with a traceback on standard
    error, for every object that is closed afterwards.
    """
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        yield file
    path.write_bytes(content.getbuffer())


def read_dataset(path: Path, file: h5py.File, name: str, *, complex_values: bool) -> np.ndarray:
    """A numeric dataset as float32, or as complex64.

    Raises:
        InputError: it is missing, not numeric, real where complex is needed (or the reverse), or too large.
    """
    import h5py

    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: has no dataset {name!r}; it holds {', '.join(sorted(file)) or 'nothing'}")
    kinds = "c" if complex_values else "iufb"
    if dataset.dtype.kind not in kinds:
        needed = "complex" if complex_values else "real"
        raise InputError(f"{path}: the dataset {name!r} holds {dataset.dtype}, {needed} numbers are needed")
    target = np.complex64 if complex_values else np.float32
    check_fits(path, 2 * dataset.size * np.dtype(target).itemsize)
    return np.asarray(dataset[()]).astype(target, copy=False)


def read_json(path: Path, attributes: Any, name: str) -> dict[str, Any]:
    """A JSON object stored in an attribute; empty if there is none, :class:`InputError` if it is not JSON."""
    text = attributes.get(name, "{}")
    try:
        values = json.loads(text)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the attribute {name!r} is no valid JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: the attribute {name!r} must be a JSON object")
    return values


def read_affine(path: Path, attributes: Any) -> np.ndarray:
    """The (4, 4) attribute ``affine``; :class:`InputError` if it is missing or of another shape."""
    try:
        affine = np.asarray(attributes["affine"], float)
    except (KeyError, TypeError, ValueError):
        affine = np.empty(0)
    if affine.shape != (4, 4):
        raise InputError(f"{path}: the attribute 'affine' must be a 4 x 4 matrix, voxel (x, y, z) to mm")
    return affine
