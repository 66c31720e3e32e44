"""Samples along a trajectory in arrays, BART's files and our own: the trajectory lies beside them or in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.hdf5 import create_hdf5, dataset_of, is_hdf5, member, open_hdf5, read_affine, read_dataset, read_json
from recon.io.kspace.arrays import MATRIX, TRAJECTORY, read_numpy_along, stored_arrays
from recon.io.kspace.bart import bart_pair, read_bart_readouts
from recon.io.kspace.fastmri import read_coils, read_reference
from recon.io.kspace.off_grid import RawOffGrid
from recon.io.kspace.request import KSpaceRequest
from recon.io.kspace.trajectory_file import read_trajectory_file, z_last
from recon.io.matlab_files import is_matlab
from recon.io.numpy_files import is_numpy, read_array
from recon.io.orientation import check_affine

if TYPE_CHECKING:
    import h5py

    from recon.scan.non_cartesian_kspace import NonCartesianKSpace

FORMAT, VERSION = "recon-kspace", 2
"""Files of samples on a grid have version 1, with the same name of the format."""


def holds_trajectory(path: Path) -> bool:
    """Whether an array file or an HDF5 file with ``kspace`` holds a ``trajectory`` beside it."""
    if is_numpy(path) or is_matlab(path):
        return TRAJECTORY in stored_arrays(path)
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return {"kspace", TRAJECTORY} <= set(file.keys())


def read_off_grid(path: Path, request: KSpaceRequest) -> RawOffGrid:
    """What an array file, BART file or HDF5 file holds of samples along a trajectory.

    Raises:
        InputError: a damaged file, one without a trajectory where none is given, or data that do not fit it.
    """
    given = None if request.trajectory is None else read_trajectory_file(request.trajectory)
    if is_hdf5(path) and not is_matlab(path):
        request.refuse_series(path)
        return _from_hdf5(path, given, request.matrix)
    if bart_pair(path) is not None:
        if given is None:
            raise InputError(f"{path}: samples along a trajectory need `trajectory`, the file of its coordinates")
        return RawOffGrid(path, "bart", read_bart_readouts(path, request), given, request.matrix)
    data, trajectory = read_numpy_along(path, request.axes, given)
    matrix = request.matrix
    if matrix is None and not is_matlab(path) and MATRIX in stored_arrays(path):
        matrix = matrix_of(path, read_array(path, MATRIX))
    return RawOffGrid(path, "numpy", data, trajectory, matrix)


def matrix_of(path: Path, values: Any) -> tuple[int, int]:
    """The (y, x) voxels of an image, as a file states them."""
    stated = np.asarray(values).ravel()
    if stated.size != 2 or stated.dtype.kind not in "iuf" or not (np.isfinite(stated).all() and stated.min() >= 1):
        raise InputError(f"{path}: 'matrix' must be two whole numbers of voxels (y, x) above 0")
    return int(stated[0]), int(stated[1])


def _from_hdf5(path: Path, given: np.ndarray | None, matrix: tuple[int, int] | None) -> RawOffGrid:
    with open_hdf5(path) as file:
        own = str(file.attrs.get("format")) == FORMAT
        if own and file.attrs.get("version") != VERSION:
            raise InputError(
                f"{path}: k-space format version {file.attrs.get('version')}; this program reads {VERSION}"
            )
        data = read_coils(path, file)
        trajectory = z_last(_coordinates(path, file)) if given is None else given
        if matrix is None and MATRIX in file.attrs:
            matrix = matrix_of(path, file.attrs[MATRIX])
        meta = read_json(path, file.attrs, "meta") if own else {}
        affine = read_affine(path, file.attrs) if own else np.eye(4)
        check_affine(path, affine)
        measured = _measured(path, file, len(data))
        reference = read_reference(path, file, data.shape[1])
    known = {"spacing_known": own, "orientation_known": own}
    kind = str(meta.get("trajectory", "other"))
    name = "hdf5" if own else "fastmri"
    return RawOffGrid(path, name, data, trajectory, matrix, None, kind, affine, measured, reference, meta=known | meta)


def _coordinates(path: Path, file: h5py.File) -> np.ndarray:
    """The trajectory in the precision that it is stored in."""
    dataset = dataset_of(path, file, TRAJECTORY)
    if dataset.dtype.kind not in "iuf":
        raise InputError(f"{path}: a trajectory holds real coordinates, not {dataset.dtype}")
    return np.asarray(dataset[()], np.float64)


def _measured(path: Path, file: h5py.File, planes: int) -> np.ndarray | None:
    if member(path, file, "measured") is None:
        return None
    measured = read_dataset(path, file, "measured", complex_values=False) != 0
    if measured.shape != (planes,):
        raise InputError(f"{path}: 'measured' is {measured.shape}, for {planes} partitions")
    return np.asarray(measured)


def write_off_grid(path: Path, kspace: NonCartesianKSpace) -> None:
    """Write k-space along a trajectory: ``kspace`` (z, [coils,] readouts, samples), ``trajectory`` (…, 2), ``measured``
    partitions of a stack, ``reconstruction_esc`` or ``_rss`` where there is a reference, and the root attributes
    ``format`` = "recon-kspace", ``version`` = 2, ``affine``, ``matrix`` and ``meta`` (JSON)."""
    import json

    data = kspace.data.numpy().astype(np.complex64, copy=False)
    single = data.shape[1] == 1
    with create_hdf5(path) as file:
        file.create_dataset("kspace", data=data[:, 0] if single else data)
        file.create_dataset(TRAJECTORY, data=kspace.trajectory.numpy())
        if kspace.measured is not None:
            file.create_dataset("measured", data=kspace.measured.numpy().astype(np.uint8))
        if kspace.reference is not None:
            file.create_dataset(f"reconstruction_{'esc' if single else 'rss'}", data=kspace.reference.numpy())
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["affine"] = np.asarray(kspace.affine, float)
        file.attrs[MATRIX] = np.asarray(kspace.image_shape, np.int64)
        file.attrs["meta"] = json.dumps(kspace.meta | {"trajectory": kspace.kind})
