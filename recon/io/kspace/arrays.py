"""k-space in .npy, .npz and MATLAB files, whose axis order the user states."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.kspace.checks import RawKSpace
from recon.io.kspace.complex_pairs import as_complex, complex_parts
from recon.io.kspace.partitions import along_partitions, separation_of
from recon.io.kspace.plausible import check_centred, check_slices
from recon.io.kspace.support import CHANCE
from recon.io.kspace.trajectory_file import z_last
from recon.io.matlab_files import is_matlab, matlab_headers, read_matlab
from recon.io.numpy_files import Header, array_headers, read_array

TRAJECTORY, MATRIX = "trajectory", "matrix"
"""Names of the arrays of coordinates, and of the (y, x) voxels of the image, beside samples along a trajectory."""

_BESIDE = (TRAJECTORY, MATRIX)
_AXES = "zcyx"
_ALONG = "zcrs"
_PARTITIONS = "p"
_EXAMPLES = {2: "yx", 3: "cyx (coils first) or `axes` zyx (slices first)", 4: "zcyx"}


def read_numpy_along(path: Path, axes: str | None, trajectory: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(z, coils, readouts, samples) complex64 of an array of samples along a trajectory, and the trajectory, which may
    lie in the file beside it; ``axes`` is a permutation of some of z, c, r (readouts) and s (samples).

    Raises:
        InputError: as :func:`read_numpy`, or no trajectory.
    """
    headers = stored_arrays(path)
    name = _kspace_name(path, {key: each for key, each in headers.items() if key not in _BESIDE})
    if trajectory is None:
        trajectory = z_last(np.asarray(_read(path, TRAJECTORY), np.float64))
    shape, paired = _complex_shape(path, headers[name], axes)
    example = {2: "rs", 3: "crs"}.get(len(shape), "zcrs")
    order = (axes or "").lower()
    if not {"r", "s"} <= set(order) <= set(_ALONG) or len(set(order)) != len(order) or len(order) != len(shape):
        raise InputError(
            f"{path}: an array of shape {shape} along a trajectory needs its axis order: give `axes`, r for readouts "
            f"and s for samples, such as `axes` {example}"
        )
    return _in_order(_complex(path, _read(path, name), paired), order, _ALONG), trajectory


def read_numpy(path: Path, axes: str | None) -> RawKSpace:
    """Complex k-space from an array with the axes ``axes``: a permutation of some of z, c, y, x, with y and x.

    The partitions of 3D k-space are ``p`` in place of z: they are transformed to slices. Complex values may be stored
    as pairs of real and imaginary part, or along a last axis of length 2 that ``axes`` does not name. An .npz or
    MATLAB file may hold a ``mask`` beside ``kspace`` (or beside its one complex array). Neither voxel size nor
    orientation are in such files.

    Raises:
        InputError: no axis order, one that does not fit, real values, zero frequency at an edge, partitions called
            slices, damaged files, pickled objects.
    """
    headers = stored_arrays(path)
    name = _kspace_name(path, headers)
    shape, paired = _complex_shape(path, headers[name], axes)
    order = _checked_axes(path, shape, axes)
    data = _in_order(_complex(path, _read(path, name), paired), order)
    mask = np.squeeze(_read(path, "mask")) if "mask" in headers and name != "mask" else None
    if mask is not None and mask.ndim == 2 and order.index("x") < order.index("y"):
        mask = mask.T
    check_centred(path, data)
    meta = {"spacing_known": False, "orientation_known": False}
    notices: tuple[str, ...] = ("real and imaginary parts lie along the last axis of the array",) if paired else ()
    partitions = _PARTITIONS in order
    if partitions:
        data, mask, further = volume_as_slices(path, data, mask)
        notices += further
    else:
        check_slices(path, data, "name that axis p in `axes`, such as `axes` pcyx, to have it transformed")
    return RawKSpace(path, "numpy", data, np.eye(4), mask, transformed=partitions, meta=meta, notices=notices)


def stored_arrays(path: Path) -> dict[str, Header]:
    """Shape and dtype of every array in an .npy, .npz or MATLAB file."""
    return matlab_headers(path) if is_matlab(path) else array_headers(path)


def complex_arrays(headers: dict[str, Header]) -> dict[str, Header]:
    """Those of the arrays that hold complex numbers by their type, and could be k-space."""
    return {
        name: header
        for name, header in headers.items()
        if name != "mask" and (header[1].kind == "c" or complex_parts(header[1]))
    }


def in_axes_order(path: Path, data: np.ndarray, axes: str) -> np.ndarray:
    """An array with the axes ``axes`` as (z or partitions, coils, y, x); :class:`InputError` if they do not fit it."""
    return _in_order(data, _checked_axes(path, data.shape, axes))


def volume_as_slices(
    path: Path, data: np.ndarray, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """3D k-space (partitions, coils, y, x) as slices, their mask, and what was done in words.

    A (y, x) mask that the file states is that of every partition. Without one, the samples that are not zero tell which
    axis is sampled in full.
    """
    if mask is not None:
        return along_partitions(data), mask, ()
    sampled = (data != 0).any(1)
    if _is_padded_stack(sampled.mean((1, 2))):
        return along_partitions(data), None, ()
    found = separation_of(path, sampled, readout=2)
    return found.slices(data), None if found.axis == 0 else found.sampled, found.notices


def _is_padded_stack(shares: np.ndarray) -> bool:
    """Whether of the partitions, whose shares of samples that are not zero are given, some neighbouring ones are
    complete, but for samples that are zero by chance, and all before and behind them are padding."""
    complete, empty = shares > 1 - CHANCE, shares == 0
    inside = np.flatnonzero(complete)
    return bool((complete | empty).all() and inside.size and np.ptp(inside) + 1 == inside.size)


def _read(path: Path, name: str) -> np.ndarray:
    return read_matlab(path, name) if is_matlab(path) else read_array(path, name)


def _kspace_name(path: Path, headers: dict[str, Header]) -> str:
    """The array that is k-space: by its name, as the only complex one, or as the only one at all."""
    if "kspace" in headers:
        return "kspace"
    for candidates in (complex_arrays(headers), headers):
        if len(candidates) == 1:
            return next(iter(candidates))
        if candidates:
            break
    listed = ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in list(headers.items())[:5])
    raise InputError(f"{path}: which array is the k-space? name it 'kspace'; there are {listed or 'none'}")


def _complex_shape(path: Path, header: Header, axes: str | None) -> tuple[tuple[int, ...], bool]:
    """The shape as complex numbers, and whether the last axis holds their parts."""
    shape, dtype = header
    if dtype.kind == "c" or complex_parts(dtype):
        return shape, False
    named = len(axes) if axes else len(shape) - 1
    if dtype.kind in "iuf" and len(shape) > 2 and shape[-1] == 2 and named == len(shape) - 1:
        return shape[:-1], True
    raise InputError(
        f"{path}: an array of {dtype} with shape {shape}; k-space is complex, or has real and imaginary part "
        "along a last axis that `axes` does not name (save an image as NIfTI instead)"
    )


def _complex(path: Path, values: np.ndarray, paired: bool) -> np.ndarray:
    """The values as complex64; a MATLAB header does not tell whether they are complex."""
    if not paired and values.dtype.kind != "c" and complex_parts(values.dtype) is None:
        raise InputError(f"{path}: an array of {values.dtype} with shape {values.shape}; k-space is complex")
    return as_complex(values)


def _checked_axes(path: Path, shape: tuple[int, ...], axes: str | None) -> str:
    example = _EXAMPLES.get(len(shape), "zcyx")
    if axes is None:
        raise InputError(
            f"{path}: an array of shape {shape} needs its axis order: give `axes`, such as `axes` {example}"
        )
    order = axes.lower()
    known = set(_AXES + _PARTITIONS)
    if not {"y", "x"} <= set(order) <= known or len(set(order)) != len(order) or {"z", _PARTITIONS} <= set(order):
        raise InputError(
            f"`axes` {axes}: must hold y and x, and z (slices; p: partitions of 3D k-space) and c (coils) if there "
            "are such, each once"
        )
    if len(order) != len(shape):
        raise InputError(
            f"`axes` {axes}: names {len(order)} axes, {path} has {len(shape)}: {shape}; such as `axes` {example}"
        )
    return order


def _in_order(data: np.ndarray, order: str, axes: str = _AXES) -> np.ndarray:
    """The array with axes ``order`` as (z or partitions, coils, y, x), or in another order of four axes."""
    order = order.replace(_PARTITIONS, "z")
    missing = tuple(axis for axis in axes if axis not in order)
    full = data.reshape((1,) * len(missing) + data.shape)
    names = "".join(missing) + order
    return np.ascontiguousarray(full.transpose([names.index(axis) for axis in axes]))
