"""Sampling masks in .npy, .npz and HDF5 files, read within the bounds that the k-space sets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.checks import require_file
from recon.io.hdf5 import dataset_of, is_hdf5, open_hdf5, read_dataset
from recon.io.numpy_files import array_headers, is_numpy, read_array

_NAME = "mask"


def read_mask_file(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """The values of a mask.

    Args:
        path: ``.npy``, ``.npz`` (one array, or one called ``mask``) or HDF5 (a dataset ``mask``, as in fastMRI).
        shape: (y, x) of the k-space it is for; a larger array is not read.

    Raises:
        InputError: not such a file, a damaged one, or more values than k-space has places.
    """
    require_file(path)
    if is_hdf5(path):
        with open_hdf5(path) as file:
            _check_size(path, dataset_of(path, file, _NAME).shape, shape)
            return read_dataset(path, file, _NAME, complex_values=False)
    if not is_numpy(path):
        raise InputError(f"{path}: not a readable .npy, .npz or HDF5 mask")
    headers = array_headers(path)
    name = next(iter(headers)) if len(headers) == 1 else _NAME
    if name not in headers:
        raise InputError(f"{path}: it holds no array called {_NAME!r}, but {', '.join(headers) or 'nothing'}")
    _check_size(path, headers[name][0], shape)
    return read_array(path, name)


def _check_size(path: Path, stated: tuple[int, ...], shape: tuple[int, int]) -> None:
    if math.prod(stated) > math.prod(shape):
        raise InputError(f"{path}: the mask is {stated}, but k-space is {shape[0]} × {shape[1]} (y, x)")
