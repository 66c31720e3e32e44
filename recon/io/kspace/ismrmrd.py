"""ISMRMRD raw data (Inati et al., Magn Reson Med 2017): a table of readouts sorted into Cartesian k-space.

The table is read with h5py in one go; the ismrmrd package would read it line by line. Rows of the result are
the readout, columns the phase encoding, as in fastMRI.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits
from recon.io.hdf5 import dataset_of, member, read_text
from recon.io.kspace.checks import RawKSpace
from recon.io.kspace.ismrmrd_epi import is_echo_planar, without_ghost
from recon.io.kspace.ismrmrd_geometry import Slices, affine_of, slices_of
from recon.io.kspace.ismrmrd_table import Table, noise_readouts, one_series, read_table, valid_samples
from recon.io.kspace.mr_header import Encoding, parse_encoding
from recon.io.kspace.partitions import Separation, central, separation_of
from recon.io.kspace.request import KSpaceRequest
from recon.io.kspace.support import is_rectangle

if TYPE_CHECKING:
    import h5py


ON_GRID = ("cartesian", "epi")
"""Trajectories of the header whose samples are brought to a grid."""

_COMPLETE = 0.9
"""Share of calibration lines that are complete along an axis, from which on it can be transformed; samples may be 0 by
chance."""


def find_group(path: Path, file: h5py.File) -> h5py.Group | None:
    """The group that holds ISMRMRD's ``xml`` and ``data``, or None if the file is something else."""
    import h5py

    names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    found = {name: group for name in names if isinstance(group := member(path, file, name), h5py.Group)}
    groups = [name for name, group in found.items() if {"xml", "data"} <= set(group)]
    return found["dataset" if "dataset" in groups else groups[0]] if groups else None


def encoding_of(path: Path, group: h5py.Group) -> Encoding:
    """The first encoding of the header."""
    return parse_encoding(path, read_text(path, group, "xml"))


def read_ismrmrd(path: Path, group: h5py.Group, request: KSpaceRequest) -> RawKSpace:
    """Cartesian multi-slice or 3D k-space: averages averaged, slices in order of their positions, separate calibration
    lines and noise readouts kept apart, other readouts (navigators, phase stabilisation, dummies) left out; backward
    readouts of echo-planar data turned, and their phase corrected; of 3D data an axis that is sampled in full, the
    partitions or the readout, is transformed to slices.

    Raises:
        InputError: echo-planar data without reference lines, several contrasts or repetitions of which none is chosen,
            slices that are not evenly spaced or sampled differently, 3D data that are undersampled along all axes, or
            readouts that contradict the header.
    """
    encoding = encoding_of(path, group)
    readouts = one_series(path, read_table(path, dataset_of(path, group, "data")), request)
    corrections: tuple[str, ...] = ()
    if is_echo_planar(readouts):
        readouts, corrections = without_ghost(path, readouts, encoding)
    imaging, calibration = readouts.imaging, readouts.calibration
    slices = slices_of(path, imaging.heads)
    data, sampled = _sort(path, imaging, encoding, slices)
    lines, unused = _calibration_lines(path, calibration, encoding, slices, data.shape)
    image_shape = encoding.image_shape(*data.shape[-2:])
    affine, known = affine_of(imaging.heads, encoding, data.shape, image_shape, slices)
    meta = {"spacing_known": True, "orientation_known": known, "readouts_left_out": readouts.others + unused}
    noise = noise_readouts(path, readouts.noise, imaging)
    if encoding.matrix[2] == 1:
        mask = _one_mask(path, sampled)
        return RawKSpace(
            path,
            "ismrmrd",
            data,
            affine,
            mask,
            image_shape,
            calibration=lines,
            noise_readouts=noise,
            meta=meta,
            notices=slices.notices + corrections,
        )
    separation = separation_of(path, sampled)
    data, lines = separation.slices(data), None if lines is None else _transformed(separation, lines)
    if separation.axis == 1:  # rows are the partitions now, and slices lie along the readout, which is cropped here
        data, lines = central(data, image_shape[0]), None if lines is None else central(lines, image_shape[0])
        affine, image_shape = affine[:, [0, 2, 1, 3]], (data.shape[-2], image_shape[1])
    elif separation.axis == 2:
        data, lines = central(data, image_shape[1]), None if lines is None else central(lines, image_shape[1])
        affine, image_shape = affine[:, [1, 2, 0, 3]], (data.shape[-2], image_shape[0])
    return RawKSpace(
        path,
        "ismrmrd",
        data,
        affine,
        _undersampled(separation.sampled),
        image_shape,
        calibration=lines,
        noise_readouts=noise,
        transformed=True,
        meta=meta,
        notices=slices.notices + corrections + separation.notices,
    )


def _one_mask(path: Path, sampled: np.ndarray) -> np.ndarray | None:
    """The mask that all slices have, None where they are sampled in full."""
    if (sampled != sampled[:1]).any():
        raise InputError(f"{path}: the slices are sampled at different places; one mask a volume is needed")
    return _undersampled(sampled[0])


def _undersampled(sampled: np.ndarray) -> np.ndarray | None:
    return None if is_rectangle(sampled) else sampled


def _transformed(separation: Separation, lines: np.ndarray) -> np.ndarray | None:
    """Calibration lines as the image's slices are; None where they do not reach along the transformed axis."""
    there = (lines != 0).any(1)
    inside = there.any(separation.axis)
    whole = there.all(separation.axis)
    return separation.slices(lines) if whole[inside].mean() > _COMPLETE else None


def _calibration_lines(
    path: Path, table: Table, encoding: Encoding, slices: Slices, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, int]:
    """(z, coils, y, x) k-space of calibration lines that were measured apart, and how many of them do not fit the
    image's k-space and are left out."""
    heads, (rows, columns, partitions) = table.heads, encoding.matrix
    steps = heads["idx"]["kspace_encode_step_1"].astype(int) + _shift(encoding.centre[0], columns)
    fits = np.isin(heads["idx"]["slice"], slices.counters) & (heads["active_channels"] == shape[1])
    fits &= (heads["number_of_samples"] <= rows) & (steps >= 0) & (steps < columns)
    planes = heads["idx"]["kspace_encode_step_2"].astype(int) + _shift(encoding.centre[1], partitions)
    fits &= (partitions == 1) | ((planes >= 0) & (planes < partitions))
    if not fits.any():
        return None, len(heads)
    data, _ = _sort(path, Table(heads[fits], table.lines[fits]), encoding, slices)
    return data, int((~fits).sum())


def _sort(path: Path, table: Table, encoding: Encoding, slices: Slices) -> tuple[np.ndarray, np.ndarray]:
    """(z, coils, y, x) averaged k-space, and (z, y, x) bool where there are samples; z is slice or partition."""
    heads = table.heads
    rows, columns, partitions = encoding.matrix
    planes = _planes(path, heads, partitions, encoding.centre[1], slices)
    steps = heads["idx"]["kspace_encode_step_1"].astype(int) + _shift(encoding.centre[0], columns)
    if steps.min() < 0 or steps.max() >= columns:
        raise InputError(f"{path}: a phase-encoding step lies outside the header's matrix of {columns}")
    count = len(slices.counters) if partitions == 1 else partitions
    shape = (count, int(heads[0]["active_channels"]), rows, columns)
    check_fits(path, 16 * int(np.prod(shape, dtype=object)))
    data, counts = np.zeros(shape, np.complex64), np.zeros((shape[0], rows, columns), np.int32)
    for head, samples, plane, step in zip(heads, table.lines, planes, steps, strict=True):
        line, first = _line(path, head, samples, rows)
        data[plane, :, first : first + line.shape[1], step] += line
        counts[plane, first : first + line.shape[1], step] += 1
    data /= np.maximum(counts, 1)[:, None]
    return data, counts > 0


def _planes(path: Path, heads: np.ndarray, partitions: int, centre: int | None, slices: Slices) -> np.ndarray:
    """Index along z of every readout."""
    if partitions == 1:
        return slices.index(heads["idx"]["slice"])
    planes = heads["idx"]["kspace_encode_step_2"].astype(int) + _shift(centre, partitions)
    if len(slices.counters) > 1 or planes.min() < 0 or planes.max() >= partitions:
        raise InputError(f"{path}: several slabs, or a partition outside the header's matrix of {partitions}")
    return np.asarray(planes)


def _shift(centre: int | None, size: int) -> int:
    """What to add to an encoding step so that zero frequency comes to ``size // 2``."""
    return 0 if centre is None else size // 2 - centre


def _line(path: Path, head: np.ndarray, samples: np.ndarray, rows: int) -> tuple[np.ndarray, int]:
    """The valid samples (coils, n) of a readout, and the row of the first: echoes may be asymmetric."""
    count = int(head["number_of_samples"])
    first = 0 if count == rows else rows // 2 - int(head["center_sample"])  # whole lines may leave the centre at 0
    if first < 0 or first + count > rows:
        raise InputError(f"{path}: a readout of {count} samples does not fit the header's matrix of {rows}")
    return valid_samples(path, head, samples), first + int(head["discard_pre"])
