"""Projections in whatever file they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.checks import require_file
from recon.io.hdf5 import is_hdf5, open_hdf5
from recon.io.matlab_files import is_matlab
from recon.io.matlab_structs import read_matlab_texts
from recon.io.numpy_files import is_numpy
from recon.io.projections.arrays import Arrays, read_arrays
from recon.io.projections.data_exchange import is_data_exchange, read_data_exchange
from recon.io.projections.htc2022 import struct_of, with_its_geometry
from recon.io.projections.stored import Stored
from recon.io.projections.tiff import is_tiff, natural_order, read_tiffs, tiff_files

ALL = slice(None)


def read_projections(paths: list[Path], variable: str | None = None, rows: slice = ALL) -> Stored:
    """Projections as they are stored.

    Args:
        paths: one file of any kind; several TIFF files, or a folder of these.
        variable: name of the array in a file that holds several, structs dotted (``CtData.sinogram``).
        rows: detector rows to read of a Data Exchange file; others are read whole.

    Raises:
        InputError: a file that cannot be read, is of no known kind, or does not say which array is meant.
    """
    files = [file for path in paths for file in (tiff_files(path) if path.is_dir() else [path])]
    for file in files:
        require_file(file)
    if len(files) > 1 or is_tiff(files[0]):
        other = next((file for file in files if not is_tiff(file)), None)
        if other is not None:
            raise InputError(f"{other}: several files must all be TIFF; give one file of another kind")
        return read_tiffs(natural_order(files) if len(files) > 1 else files)
    path = files[0]
    if variable is None and is_hdf5(path) and not is_matlab(path):
        if is_data_exchange(path):
            return read_data_exchange(path, rows)
        if _is_sinogram(path):
            return _own(path)
    if is_hdf5(path) or is_matlab(path) or is_numpy(path):
        return _of_arrays(path, variable)
    raise InputError(
        f"{path}: of no known kind; projections are read from .npy, .npz, MATLAB, TIFF, Data Exchange and other HDF5"
    )


def read_frames(value: str, parameter: str, arrays: Arrays | None) -> np.ndarray:
    """Flats or darks: a number, a file, or the name of an array in the file of the projections.

    Args:
        value: the number, file or name.
        parameter: name of the parameter that gave it.
        arrays: the arrays of the file of the projections, if it holds named ones.

    Raises:
        InputError: none of these, or values that are not finite.
    """
    try:
        found = np.array(float(value))
    except ValueError:
        if Path(value).exists():
            found = _frames_in(Path(value))
        elif arrays is not None:
            found = np.squeeze(arrays.named(value, parameter))
        else:
            raise InputError(f"`{parameter}` {value}: no such file, and no number") from None
    if found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise InputError(f"`{parameter}` {value}: NaN or infinity in it")
    return found


def _frames_in(path: Path) -> np.ndarray:
    """The one array of a file, which need not look like projections; or what would be projections."""
    arrays = arrays_of([path])
    if arrays is not None and len(arrays.headers) == 1:
        return np.squeeze(arrays.read(next(iter(arrays.headers))))
    return read_projections([path]).data


def arrays_of(paths: list[Path]) -> Arrays | None:
    """The named arrays beside projections, where their file has such."""
    path = paths[0]
    if len(paths) != 1 or path.is_dir() or not (is_hdf5(path) or is_matlab(path) or is_numpy(path)):
        return None
    return Arrays(path)


def _of_arrays(path: Path, variable: str | None) -> Stored:
    arrays = Arrays(path)
    root = struct_of(arrays.headers)
    if root is not None and variable in (None, f"{root}sinogram"):
        stored = read_arrays(arrays, f"{root}sinogram")
        values = {name: arrays.read(name) for name in arrays.headers if name.startswith(root)}
        return with_its_geometry(stored, values, read_matlab_texts(path), root)
    return read_arrays(arrays, variable)


def _is_sinogram(path: Path) -> bool:
    with open_hdf5(path) as file:
        return "sinogram" in file and "geometry" in file.attrs


def _own(path: Path) -> Stored:
    """A sinogram of this suite, whose missing rays are NaN again."""
    from physics.ct.scan_geometry import scan_geometry_from_dict
    from recon.io.sinogram import read_sinogram

    found = read_sinogram(path)
    data = found.data.numpy()
    if found.valid is not None:
        data = np.where(np.broadcast_to(found.valid.numpy(), data.shape), data, np.nan)
    geometry = scan_geometry_from_dict(found.geometry)
    return Stored(
        str(path),
        data,
        "zvc",
        angles=np.asarray(geometry.angles),
        geometry=geometry,
        intensities=False,
        meta=found.meta,
    )
