"""HDF5 files: one line for a bad one, values that are what they should be, and writing that fails cleanly."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, check_unpacked, require_file
from recon.io.kspace.complex_pairs import as_complex, complex_parts

if TYPE_CHECKING:
    import h5py

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS = (0, 512, 1024, 2048)
"""Where HDF5 may begin; MATLAB writes its own header before it."""
_MOST_LINKS = 16


def is_hdf5(path: Path) -> bool:
    """Whether the file begins like HDF5 (a truncated file does too), perhaps behind a block of another program."""
    with path.open("rb") as stream:
        start = stream.read(_USER_BLOCKS[-1] + len(_SIGNATURE))
    return any(start[offset : offset + len(_SIGNATURE)] == _SIGNATURE for offset in _USER_BLOCKS)


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


def member(path: Path, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What a name in a group stands for within this very file, or None.

    Raises:
        InputError: it stands for a part of another file, which a file may not make us read.
    """
    import h5py

    for _ in range(_MOST_LINKS):
        *folders, last = [part for part in name.split("/") if part]
        for position, folder in enumerate(folders):
            inner = member(path, group, folder)
            if not isinstance(inner, h5py.Group):
                return None
            if position + 1 == len(folders):
                return member(path, inner, last)
            group = inner
        link = group.get(last, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise InputError(f"{path}: {last!r} in it is a link to another file; copy its content into the file")
        if not isinstance(link, h5py.SoftLink):
            return None if link is None else group[last]
        group, name = (group.file if link.path.startswith("/") else group), link.path
    raise InputError(f"{path}: the link {name!r} in it leads round in a circle")


def dataset_of(path: Path, group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset that lies in this very file, whole, and is no larger than scans are.

    Raises:
        InputError: it is missing or no dataset, its values lie in other files, it was never (wholly) written, or it
            unpacks to far more than was stored.
    """
    import h5py

    dataset = member(path, group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: has no dataset {name!r}; it holds {held(group)}")
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{path}: the values of {name!r} lie in other files; copy them into this one")
    stored, size = int(dataset.id.get_storage_size()), dataset.size or 0
    if dataset.chunks:
        chunks = math.prod(-(-length // step) for length, step in zip(dataset.shape, dataset.chunks, strict=True))
        written = int(dataset.id.get_num_chunks())
    else:
        chunks, written = 1, int(stored > 0)
    if size and written < chunks:
        raise InputError(
            f"{path}: the dataset {name!r} {dataset.shape} was never written whole ({written} of {chunks} parts)"
        )
    check_unpacked(path, size * dataset.dtype.itemsize, stored)
    return dataset


def held(group: h5py.Group) -> str:
    """The names in a group, for a message."""
    names = sorted(group)
    return (", ".join(names[:8]) + (", …" if len(names) > 8 else "")) or "nothing"


def read_dataset(path: Path, file: h5py.Group, name: str, *, complex_values: bool) -> np.ndarray:
    """A numeric dataset as float32, or as complex64.

    Complex values may also be stored as pairs of real and imaginary part (as MATLAB does), or along a last axis of
    length 2.

    Raises:
        InputError: as :func:`dataset_of`; not numeric, real where complex is needed (or the reverse), or too large.
    """
    dataset = dataset_of(path, file, name)
    parts = complex_parts(dataset.dtype)
    paired = complex_values and dataset.dtype.kind in "iuf" and dataset.ndim > 3 and dataset.shape[-1] == 2
    if not paired and dataset.dtype.kind not in ("c" if complex_values else "iufb") and not (complex_values and parts):
        needed = "complex" if complex_values else "real"
        raise InputError(f"{path}: the dataset {name!r} holds {dataset.dtype}, {needed} numbers are needed")
    target = np.complex64 if complex_values else np.float32
    check_fits(path, 2 * dataset.size * np.dtype(target).itemsize)
    return as_complex(np.asarray(dataset[()])) if complex_values else np.asarray(dataset[()]).astype(target, copy=False)


def read_text(path: Path, group: h5py.Group, name: str) -> bytes:
    """The text in a dataset: a string, or the first of an array of strings."""
    values = np.ravel(np.asarray(dataset_of(path, group, name)[()]))
    first = values[0] if values.size else None
    if isinstance(first, str):
        return first.encode()
    if not isinstance(first, bytes):
        raise InputError(f"{path}: {name!r} is no text")
    return first


def read_json(path: Path, attributes: Any, name: str) -> dict[str, Any]:
    """A JSON object stored in an attribute; empty if there is none, :class:`InputError` if it is not JSON."""
    text = attributes.get(name, "{}")
    try:
        values = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: the attribute {name!r} is no valid JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: the attribute {name!r} must be a JSON object")
    return values


def read_affine(path: Path, attributes: Any, name: str = "affine") -> np.ndarray:
    """The (4, 4) attribute ``name``; :class:`InputError` if it is missing or of another shape."""
    try:
        stated = np.asarray(attributes[name])
        affine = np.empty(0) if stated.dtype.kind == "c" else stated.astype(float)
    except (KeyError, TypeError, ValueError):
        affine = np.empty(0)
    if affine.shape != (4, 4):
        raise InputError(f"{path}: the attribute {name!r} must be a 4 x 4 matrix, voxel (x, y, z) to mm")
    return affine
