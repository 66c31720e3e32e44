"""Arrays in MATLAB files: format 5 by scipy, format 7.3 as the HDF5 that it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import InputError, input_errors
from recon.io.checks import check_fits, check_unpacked, require_file
from recon.io.hdf5 import dataset_of, is_hdf5, member, open_hdf5
from recon.io.kspace.complex_pairs import as_complex, complex_parts
from recon.io.numpy_files import Header

_TYPES = {"double": "f8", "single": "f4", "logical": "?"} | {
    f"{kind}int{bits}": f"{kind or 'i'}{bits // 8}" for kind in ("", "u") for bits in (8, 16, 32, 64)
}


def is_matlab(path: Path) -> bool:
    """Whether the file begins with MATLAB's header."""
    with path.open("rb") as stream:
        return stream.read(7) == b"MATLAB "


def matlab_headers(path: Path) -> dict[str, Header]:
    """Shape and dtype of the numeric arrays in the file, by name, axes in MATLAB's order.

    Format 5 does not say in a header whether an array is complex: those of floating-point numbers are taken to be.

    Raises:
        InputError: a damaged file, or one that unpacks to far more than it holds.
    """
    require_file(path)
    if is_hdf5(path):
        return _hdf5_headers(path)
    import scipy.io

    from priors.weights.matlab_size import check_inflated

    with input_errors(str(path)):
        check_inflated(path)
    try:
        listed = scipy.io.whosmat(path)
    except Exception as error:  # damaged bytes fail inside scipy's reader in as many ways as it has types
        raise InputError(f"{path}: a damaged MATLAB file ({' '.join(str(error).split())})") from error
    return {
        name: (tuple(shape), np.dtype({"f8": "c16", "f4": "c8"}.get(_TYPES[kind], _TYPES[kind])))
        for name, shape, kind in listed
        if kind in _TYPES
    }


def read_matlab(path: Path, name: str) -> np.ndarray:
    """One numeric array of the file, axes in MATLAB's order.

    Raises:
        InputError: as :func:`matlab_headers`, or more than the memory holds.
    """
    shape, dtype = matlab_headers(path)[name]
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    check_fits(path, 3 * size)
    if is_hdf5(path):
        with open_hdf5(path) as file:
            values = np.asarray(dataset_of(path, file, name)[()])
            return np.ascontiguousarray((as_complex(values) if complex_parts(values.dtype) else values).T)
    import scipy.io

    check_unpacked(path, size, path.stat().st_size)
    try:
        return np.asarray(scipy.io.loadmat(path, variable_names=[name])[name])
    except Exception as error:  # as above
        raise InputError(f"{path}: a damaged MATLAB file ({' '.join(str(error).split())})") from error


def _hdf5_headers(path: Path) -> dict[str, Header]:
    import h5py

    headers = {}
    with open_hdf5(path) as file:
        for name in list(file)[:100]:
            if isinstance(found := member(path, file, name), h5py.Dataset) and found.dtype.kind in "biufcV":
                dataset = dataset_of(path, file, name)
                headers[name] = dataset.shape[::-1], dataset.dtype
    return headers
