"""BART's raw data: a ``.cfl`` file of complex numbers and a ``.hdr`` file with its dimensions.

Sixteen dimensions in column-major order, of which readout, first and second phase encoding, coil and slice are read
(https://mrirecon.github.io/bart, ``src/misc/mri.h``). Zero frequency is at n // 2 and transforms are orthonormal.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, require_file
from recon.io.kspace.checks import RawKSpace
from recon.io.kspace.partitions import slices_of_volume
from recon.io.kspace.plausible import check_centred
from recon.io.kspace.request import KSpaceRequest

_READ, _PHASE, _PARTITION, _COIL, _SLICE = 0, 1, 2, 3, 13
_SERIES = {"contrast": 5, "repetition": 10}
"""Dimensions of echoes and of time frames."""
_BYTES = 8
_LONGEST_HEADER = 1 << 16


def bart_pair(path: Path) -> tuple[Path, Path] | None:
    """The ``.hdr`` and the ``.cfl`` file that a path to one of them names; None if it is no such path."""
    if path.suffix.lower() not in (".cfl", ".hdr"):
        return None
    header, data = path.with_suffix(".hdr"), path.with_suffix(".cfl")
    return (header, data) if path.suffix.lower() == ".cfl" or data.exists() else None


def read_bart(path: Path, request: KSpaceRequest | None = None) -> RawKSpace:
    """k-space of slices, or of a volume with two phase encodings, whose readout is transformed to slices.

    Rows of the result are the readout and columns the phase encoding; of a volume, rows are the first and columns the
    second phase encoding. Neither voxel size nor orientation are in such files.

    Args:
        path: the ``.cfl`` or the ``.hdr`` file; the other one lies beside it.
        request: what the user says of it: which contrast (echo) and repetition (time frame) to read.

    Raises:
        InputError: a missing or damaged file, or further dimensions, such as echoes or time frames.
    """
    array, dimensions = _one_series(path, request or KSpaceRequest())
    data = path.with_suffix(".cfl")
    _check_dimensions(data, dimensions)
    if dimensions[_PARTITION] > 1 and dimensions[_SLICE] > 1:
        raise InputError(f"{data}: several slabs of two phase encodings; extract one with 'bart slice 13 0' first")
    volume = array.reshape(*dimensions[:4], dimensions[_SLICE])
    notices: tuple[str, ...] = ()
    transformed = dimensions[_PARTITION] > 1
    slices = volume[:, :, 0].transpose(3, 2, 0, 1)  # (z, coils, readout, phase)
    if transformed:
        slices, notices = slices_of_volume(volume[..., 0].transpose(3, 0, 1, 2))
    slices = np.ascontiguousarray(slices, np.complex64)
    check_centred(data, slices)
    meta = {"spacing_known": False, "orientation_known": False}
    return RawKSpace(data, "bart", slices, np.eye(4), transformed=transformed, meta=meta, notices=notices)


def read_bart_readouts(path: Path, request: KSpaceRequest) -> np.ndarray:
    """(z, coils, readouts, samples) of samples along a trajectory: dimensions 1, samples, readouts, coils, …, slices.

    Raises:
        InputError: a missing or damaged file, or other dimensions.
    """
    array, dimensions = _one_series(path, request)
    _check_dimensions(path, dimensions)
    if dimensions[_READ] != 1:
        raise InputError(
            f"{path}: its first dimension has {dimensions[_READ]} samples; of samples along a trajectory it has 1, and "
            "the second and third have the samples and the readouts"
        )
    readouts = array.reshape(*dimensions[1:4], dimensions[_SLICE])
    return np.ascontiguousarray(readouts.transpose(3, 2, 1, 0), np.complex64)


def read_bart_trajectory(path: Path) -> np.ndarray:
    """(readouts, samples, 3) float64 coordinates along y, x and z in cycles per field of view, of a trajectory of
    dimensions 3, samples, readouts. Rows of the image are BART's first dimension.

    Raises:
        InputError: a missing or damaged file, or other dimensions.
    """
    array, dimensions = _stored(path)
    if dimensions[0] != 3 or math.prod(dimensions[3:]) != 1:
        raise InputError(f"{path}: no BART trajectory: dimensions {dimensions}; 3, samples, readouts are needed")
    return np.ascontiguousarray(array.real.reshape(dimensions[:3]).T, np.float64)


def _one_series(path: Path, request: KSpaceRequest) -> tuple[np.ndarray, tuple[int, ...]]:
    """The array of the contrast and the repetition that the user wants, or of the average of all repetitions."""
    array, dimensions = _stored(path)
    wanted = request.wanted_of(path, {name: range(dimensions[axis]) for name, axis in _SERIES.items()})
    for name, axis in _SERIES.items():
        one = array.take([wanted[name]], axis) if name in wanted else array.mean(axis, keepdims=True)
        array, dimensions = one, (*dimensions[:axis], 1, *dimensions[axis + 1 :])
    return array, dimensions


def _stored(path: Path) -> tuple[np.ndarray, tuple[int, ...]]:
    """The array and all of its sixteen dimensions."""
    pair = bart_pair(path)
    if pair is None:
        raise InputError(f"{path}: no BART file; give its .cfl or .hdr file")
    header, data = pair
    dimensions = _dimensions(header)
    require_file(data)
    needed = _BYTES * math.prod(dimensions)
    if data.stat().st_size != needed:
        raise InputError(f"{data}: {data.stat().st_size} bytes, but {header.name} states {needed}")
    check_fits(data, 4 * needed)
    return np.fromfile(data, "<c8").reshape(dimensions, order="F"), dimensions


def _dimensions(header: Path) -> tuple[int, ...]:
    """All sixteen dimensions; those that the header leaves out are 1."""
    require_file(header)
    with header.open("rb") as stream:
        lines = stream.read(_LONGEST_HEADER).decode("ascii", errors="replace").splitlines()
    try:
        stated = [int(word) for word in lines[lines.index("# Dimensions") + 1].split()]
    except (ValueError, IndexError):
        raise InputError(f"{header}: no BART header: it has no line of numbers below '# Dimensions'") from None
    if not 1 <= len(stated) <= 16 or min(stated) < 1:
        raise InputError(f"{header}: dimensions {stated}; 1 to 16 numbers above 0 are needed")
    return tuple(stated) + (1,) * (16 - len(stated))


def _check_dimensions(header: Path, dimensions: tuple[int, ...]) -> None:
    known = (_READ, _PHASE, _PARTITION, _COIL, _SLICE)
    others = {axis: size for axis, size in enumerate(dimensions) if size > 1 and axis not in known}
    if others:
        listed = ", ".join(f"dimension {axis} has {size}" for axis, size in others.items())
        raise InputError(f"{header}: {listed}; extract one image with 'bart slice' first (echoes, time frames, maps)")
