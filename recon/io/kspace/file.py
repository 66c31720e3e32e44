"""k-space files in, of any of the formats that are known, told apart by their content; and out, in one format.

Files written here have fastMRI's layout (dataset ``kspace`` (z, y, x) for one coil, else (z, coils, y, x), and
``reconstruction_esc`` or ``_rss`` where there is a reference), a (y, x) ``mask``, separate ``calibration`` lines (z,
coils, y, x) where there are some, and the root attributes
``format`` = "recon-kspace", ``version``, ``affine``, ``image_shape``, ``simulated`` and ``meta`` (JSON).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import require_file
from recon.io.hdf5 import create_hdf5, held, is_hdf5, open_hdf5, read_affine, read_dataset, read_json
from recon.io.kspace.arrays import read_numpy
from recon.io.kspace.bart import bart_pair, read_bart
from recon.io.kspace.checks import RawKSpace, checked_kspace
from recon.io.kspace.fastmri import read_coils, read_fastmri, read_mask, read_reference
from recon.io.kspace.ismrmrd import ON_GRID, encoding_of, find_group, read_ismrmrd
from recon.io.kspace.ismrmrd_trajectory import read_ismrmrd_along
from recon.io.kspace.off_grid import RawOffGrid, checked_off_grid
from recon.io.kspace.off_grid_files import holds_trajectory, read_off_grid
from recon.io.kspace.request import KSpaceRequest
from recon.io.kspace.twix import is_twix, read_twix
from recon.io.matlab_files import is_matlab
from recon.io.numpy_files import is_numpy
from recon.io.orientation import check_affine

if TYPE_CHECKING:
    import h5py

    from recon.scan.kspace import KSpace
    from recon.scan.non_cartesian_kspace import NonCartesianKSpace

FORMAT, VERSION = "recon-kspace", 1


def read_any_kspace(path: Path, request: KSpaceRequest | None = None) -> KSpace | NonCartesianKSpace:
    """The k-space in a fastMRI, ISMRMRD, BART or Siemens file, in one of our own, or in an .npy, .npz or MATLAB file:
    on a grid, or along a trajectory, which lies beside it or in a file that the user names.

    Args:
        path: the file; its content, not its name, decides how it is read.
        request: what the user says of it; None for nothing.

    Raises:
        InputError: an unknown or damaged file, or data that are no usable k-space.
    """
    request = request or KSpaceRequest()
    require_file(path)
    is_array = is_numpy(path) or is_matlab(path)
    if not (is_array or bart_pair(path) or is_twix(path) or is_hdf5(path)):
        raise InputError(
            f"{path}: no k-space file; it must be fastMRI or ISMRMRD HDF5, BART .cfl, Siemens .dat, .npy, .npz or .mat"
        )
    if request.axes is not None and not (is_array or _is_plain_hdf5(path)):
        raise InputError(f"`axes` {request.axes}: is for .npy, .npz and .mat files; {path} states its axes itself")
    raw = _read(path, request, is_array)
    if isinstance(raw, RawOffGrid):
        return checked_off_grid(raw)
    if request.matrix is not None:
        raise InputError(f"`matrix`: is for samples along a trajectory; those of {path} lie on a grid; leave it out")
    return checked_kspace(raw)


def read_kspace(path: Path, axes: str | None = None) -> KSpace:
    """As :func:`read_any_kspace`, of samples on a grid; :class:`InputError` for others."""
    from recon.scan.kspace import KSpace

    found = read_any_kspace(path, KSpaceRequest(axes))
    if not isinstance(found, KSpace):
        raise InputError(f"{path}: samples along a trajectory; k-space on a grid is needed")
    return found


def _read(path: Path, request: KSpaceRequest, is_array: bool) -> RawKSpace | RawOffGrid:
    if is_hdf5(path) and not is_array:
        with open_hdf5(path) as file:
            group = find_group(path, file) if hdf5_kind(path, file) == "ismrmrd" else None
            if group is not None and (encoding := encoding_of(path, group)).trajectory not in ON_GRID:
                return read_ismrmrd_along(path, group, encoding, request)
    if is_twix(path) and request.trajectory is not None:
        raise InputError(f"`trajectory` {request.trajectory}: Siemens raw data are read on their grid; leave it out")
    if is_array:
        request.refuse_series(path)
    if request.trajectory is not None or holds_trajectory(path):
        return read_off_grid(path, request)
    if is_array:
        return read_numpy(path, request.axes)
    if bart_pair(path):
        return read_bart(path, request)
    if is_twix(path):
        return read_twix(path, request)
    with open_hdf5(path) as file:
        return _read_hdf5(path, file, request)


def _is_plain_hdf5(path: Path) -> bool:
    """Whether an HDF5 file holds a ``kspace`` whose axes nothing in it states."""
    if bart_pair(path) or is_twix(path):
        return False
    with open_hdf5(path) as file:
        return hdf5_kind(path, file) == "fastmri"


def write_kspace(path: Path, kspace: KSpace) -> None:
    """Write k-space; the file need not exist yet (see :mod:`recon.io.atomic` for the way to a final name)."""
    data = kspace.data.numpy().astype(np.complex64, copy=False)
    single = data.shape[1] == 1
    with create_hdf5(path) as file:
        file.create_dataset("kspace", data=data[:, 0] if single else data)
        if kspace.mask is not None:
            file.create_dataset("mask", data=kspace.mask.numpy().astype(np.uint8))
        if kspace.reference is not None:
            file.create_dataset(f"reconstruction_{'esc' if single else 'rss'}", data=kspace.reference.numpy())
        if kspace.calibration is not None:
            file.create_dataset("calibration", data=kspace.calibration.numpy())
        if kspace.image_shape is not None:
            file.attrs["image_shape"] = np.asarray(kspace.image_shape, np.int64)
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["affine"] = np.asarray(kspace.affine, float)
        file.attrs["simulated"] = bool(kspace.meta.get("simulated", False))
        file.attrs["meta"] = json.dumps(kspace.meta)


def hdf5_kind(path: Path, file: h5py.File) -> str | None:
    """``"own"``, ``"fastmri"`` or ``"ismrmrd"``, or None if the file holds no k-space."""
    if str(file.attrs.get("format")) == FORMAT:
        return "own"
    if "kspace" in file.keys():  # noqa: SIM118  (`in file` would follow links)
        return "fastmri"
    return "ismrmrd" if find_group(path, file) is not None else None


def _read_hdf5(path: Path, file: h5py.File, request: KSpaceRequest) -> RawKSpace:
    kind = hdf5_kind(path, file)
    if kind != "ismrmrd":
        request.refuse_series(path)
    if kind == "own":
        return _read_own(path, file)
    if kind == "fastmri":
        return read_fastmri(path, file, request.axes)
    group = find_group(path, file)
    if group is None:
        raise InputError(f"{path}: holds no k-space ('kspace' or an ISMRMRD table), but {held(file)}")
    return read_ismrmrd(path, group, request)


def _read_own(path: Path, file: h5py.File) -> RawKSpace:
    if file.attrs.get("version") != VERSION:
        raise InputError(f"{path}: k-space format version {file.attrs.get('version')}; this program reads {VERSION}")
    data = read_coils(path, file)
    affine = read_affine(path, file.attrs)
    check_affine(path, affine)
    meta = read_json(path, file.attrs, "meta") | {"simulated": bool(file.attrs.get("simulated", False))}
    reference = read_reference(path, file, data.shape[1])
    image_shape, calibration = _shape(path, file.attrs), _calibration(path, file, data.shape)
    return RawKSpace(path, "hdf5", data, affine, read_mask(path, file), image_shape, reference, calibration, meta=meta)


def _calibration(path: Path, file: h5py.File, shape: tuple[int, ...]) -> np.ndarray | None:
    if "calibration" not in file.keys():  # noqa: SIM118  (`in file` would follow links)
        return None
    lines = read_dataset(path, file, "calibration", complex_values=True)
    if lines.shape != shape:
        raise InputError(f"{path}: the calibration is {lines.shape}, the k-space {shape}; they must be alike")
    return lines


def _shape(path: Path, attributes: Any) -> tuple[int, int] | None:
    if "image_shape" not in attributes:
        return None
    try:
        y, x = (int(n) for n in attributes["image_shape"])
    except (TypeError, ValueError):
        y = x = 0
    if min(y, x) < 1:
        raise InputError(f"{path}: the attribute 'image_shape' must be two positive numbers (y, x)")
    return y, x
