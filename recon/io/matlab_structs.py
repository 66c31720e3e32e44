"""Numeric arrays in MATLAB files, those within structs included, by dotted names such as ``CtData.sinogram``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError, input_errors
from recon.io.checks import check_fits, check_unpacked, require_file
from recon.io.hdf5 import dataset_of, is_hdf5, member, open_hdf5

_DEPTH = 6
"""Structs within structs, at most."""

_MOST_FIELDS = 1000


def read_matlab_tree(path: Path) -> dict[str, np.ndarray]:
    """All real numeric arrays of a MATLAB file by dotted name, axes in MATLAB's order.

    Structs are followed, arrays of structs and cells are not. No code in the file is run: functions and objects are
    left out.

    Raises:
        InputError: a damaged file, one that unpacks to far more than it holds, or to more than the memory holds.
    """
    require_file(path)
    found = dict(_of_hdf5(path) if is_hdf5(path) else _of_structs(path))
    return {name: array for name, array in found.items() if array.dtype.kind in "biuf"}


def read_matlab_texts(path: Path) -> dict[str, str]:
    """All texts of a MATLAB file of format 5 by dotted name."""
    texts = {} if is_hdf5(path) else dict(_of_structs(path))
    return {name: str(array.flat[0]) for name, array in texts.items() if array.dtype.kind == "U" and array.size == 1}


def _of_structs(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    import scipy.io

    from priors.weights.matlab_size import check_inflated

    with input_errors(str(path)):
        check_inflated(path)
    check_fits(path, 4 * path.stat().st_size)
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # damaged bytes fail inside scipy's reader in as many ways as it has types
        raise InputError(f"{path}: a damaged MATLAB file ({' '.join(str(error).split())})") from error
    for name, value in content.items():
        if not name.startswith("__"):
            yield from _leaves(name, value, _DEPTH)


def _leaves(name: str, value: Any, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names is None:
        yield name, value
    elif value.size == 1 and depth:
        for field in value.dtype.names[:_MOST_FIELDS]:
            yield from _leaves(f"{name}.{field}", value.flat[0][field], depth - 1)


def _of_hdf5(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with open_hdf5(path) as file:
        yield from list(_of_group(path, file, "", _DEPTH))


def _of_group(path: Path, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    import h5py

    for name in list(group)[:_MOST_FIELDS]:
        if name.startswith("#"):  # where MATLAB keeps what cells and arrays of structs refer to
            continue
        found = member(path, group, name)
        if isinstance(found, h5py.Group) and depth:
            yield from _of_group(path, found, f"{prefix}{name}.", depth - 1)
        elif isinstance(found, h5py.Dataset) and found.dtype.kind in "biuf" and "MATLAB_empty" not in found.attrs:
            dataset = dataset_of(path, group, name)
            size = dataset.size * dataset.dtype.itemsize
            check_fits(path, 3 * size)
            check_unpacked(path, size, path.stat().st_size)
            yield prefix + name, np.ascontiguousarray(np.asarray(dataset[()]).T)
