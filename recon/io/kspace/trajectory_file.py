"""Trajectories in .npy, .npz, HDF5 and BART files: an array of coordinates through k-space."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.checks import require_file
from recon.io.hdf5 import is_hdf5, open_hdf5, read_dataset
from recon.io.kspace.bart import bart_pair, read_bart_trajectory
from recon.io.numpy_files import array_headers, is_numpy, read_array

_NAME = "trajectory"


def read_trajectory_file(path: Path) -> np.ndarray:
    """The coordinates (readouts, samples, 2) float64, along y and x, as the file has them; of three, z is the last.

    Args:
        path: ``.npy``, ``.npz`` (one array, or one called ``trajectory``), HDF5 (a dataset ``trajectory``), or BART's
            ``.cfl``. Arrays hold ky and kx, or kz, ky and kx; BART's are in cycles per field of view.

    Raises:
        InputError: not such a file, a damaged one, or values that are no real numbers.
    """
    if bart_pair(path) is not None:
        return read_bart_trajectory(path)
    require_file(path)
    if is_hdf5(path):
        with open_hdf5(path) as file:
            return z_last(np.asarray(read_dataset(path, file, _NAME, complex_values=False), np.float64))
    if not is_numpy(path):
        raise InputError(f"{path}: not a readable .npy, .npz or HDF5 trajectory")
    headers = array_headers(path)
    name = next(iter(headers)) if len(headers) == 1 else _NAME
    if name not in headers:
        raise InputError(f"{path}: it holds no array called {_NAME!r}, but {', '.join(headers) or 'nothing'}")
    array = read_array(path, name)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: a trajectory holds real coordinates, not {array.dtype}")
    return z_last(np.asarray(array, np.float64))


def z_last(coordinates: np.ndarray) -> np.ndarray:
    """Coordinates (…, 3) in the order kz, ky, kx as ky, kx, kz; two coordinates as they are."""
    return np.roll(coordinates, -1, axis=-1) if coordinates.shape[-1] == 3 else coordinates
