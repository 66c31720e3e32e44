"""ISMRMRD raw data (Inati et al., Magn Reson Med 2017): a table of readouts sorted into Cartesian k-space.

The table is read with h5py in one go; the ismrmrd package would read it line by line. Rows of the result are
the readout, columns the phase encoding, as in fastMRI.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits
from recon.io.hdf5 import dataset_of, member, read_text
from recon.io.kspace.arrays import along_partitions
from recon.io.kspace.checks import RawKSpace
from recon.io.kspace.ismrmrd_geometry import Slices, affine_of, slices_of
from recon.io.kspace.mr_header import Encoding, parse_encoding
from recon.io.kspace.support import is_rectangle
from recon.io.printable import printable

if TYPE_CHECKING:
    import h5py

# Acquisition flags are numbered from 1 (ismrmrd.h, ISMRMRD_AcquisitionFlags).
_NOISE = 19
_CALIBRATION = 20
_REVERSED = 22
_NOT_IMAGING = (19, 23, 24, 26, 27, 28, 29, 30, 31)
"""Noise, navigator, phase correction, feedback, dummy, surface coil correction, phase stabilization, its reference."""
_COMPRESSED = (53, 54, 55, 56)
_SINGLE = ("contrast", "phase", "repetition", "set")


@dataclass(frozen=True)
class _Table:
    """Readouts of one kind: their headers and samples."""

    heads: np.ndarray
    lines: np.ndarray


def find_group(path: Path, file: h5py.File) -> h5py.Group | None:
    """The group that holds ISMRMRD's ``xml`` and ``data``, or None if the file is something else."""
    import h5py

    names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    found = {name: group for name in names if isinstance(group := member(path, file, name), h5py.Group)}
    groups = [name for name, group in found.items() if {"xml", "data"} <= set(group)]
    return found["dataset" if "dataset" in groups else groups[0]] if groups else None


def read_ismrmrd(path: Path, group: h5py.Group) -> RawKSpace:
    """Cartesian multi-slice or 3D k-space: averages averaged, slices in order of their positions, separate calibration
    lines and noise readouts kept apart, other readouts (navigators, phase correction and stabilisation, dummies) left
    out; of 3D data the partition axis is transformed to slices.

    Raises:
        InputError: not Cartesian, echo-planar, several contrasts or repetitions, slices that are not evenly spaced or
            sampled differently, 3D data that are undersampled along the partitions, or readouts that contradict the
            header.
    """
    encoding = parse_encoding(path, read_text(path, group, "xml"))
    if encoding.trajectory != "cartesian":
        raise InputError(f"{path}: the trajectory is {printable(encoding.trajectory)}; only Cartesian data can be read")
    imaging, calibration, noise, skipped = _tables(path, dataset_of(path, group, "data"))
    _check_simple(path, imaging.heads)
    slices = slices_of(path, imaging.heads)
    data, sampled = _sort(path, imaging, encoding, slices)
    if (sampled != sampled[:1]).any():
        raise InputError(
            f"{path}: the slices or partitions are sampled at different places; one mask a volume is needed"
        )
    lines, unused = None, len(calibration.heads)
    if encoding.matrix[2] > 1:
        data = along_partitions(data)
    else:
        lines, unused = _calibration_lines(path, calibration, encoding, slices, data.shape)
    image_shape = encoding.image_shape(*data.shape[-2:])
    affine, known = affine_of(imaging.heads, encoding, data.shape, image_shape, slices)
    return RawKSpace(
        path,
        "ismrmrd",
        data,
        affine,
        None if is_rectangle(sampled[0]) else sampled[0],
        image_shape,
        calibration=lines,
        noise_readouts=_noise_readouts(path, noise, imaging),
        meta={"spacing_known": True, "orientation_known": known, "readouts_left_out": skipped + unused},
        notices=slices.notices,
    )


def _tables(path: Path, table: h5py.Dataset) -> tuple[_Table, _Table, _Table, int]:
    """The readouts that make the image, those of separate calibration lines, those of noise alone, and how many others
    there are."""
    if table.dtype.names is None or not {"head", "data"} <= set(table.dtype.names):
        raise InputError(f"{path}: the ISMRMRD table 'data' has no columns 'head' and 'data'")
    check_fits(path, 4 * table.size * table.dtype.itemsize)
    heads = table.fields("head")[()]
    check_fits(path, 16 * int((heads["number_of_samples"].astype(int) * heads["active_channels"]).sum()))
    if _flagged(heads, _COMPRESSED).any():
        raise InputError(f"{path}: its readouts are compressed (flags 53 to 56); convert it to uncompressed ISMRMRD")
    usable = ~_flagged(heads, _NOT_IMAGING) & (heads["number_of_samples"] > 0) & (heads["encoding_space_ref"] == 0)
    apart = _flagged(heads, (_CALIBRATION,))
    imaging = usable & ~apart
    if not imaging.any():
        raise InputError(f"{path}: none of the {len(heads)} readouts is imaging data")
    lines = table.fields("data")[()]
    noise = _flagged(heads, (_NOISE,)) & (heads["number_of_samples"] > 0)
    kept = [_Table(heads[chosen], lines[chosen]) for chosen in (imaging, usable & apart, noise)]
    return kept[0], kept[1], kept[2], int((~usable).sum())


def _noise_readouts(path: Path, noise: _Table, imaging: _Table) -> np.ndarray | None:
    """(coils, samples) of all noise readouts with the image's coils, of the level of the image's samples.

    Noise power goes as the bandwidth, the inverse of the time of a sample, and as the inverse number of averages.
    """
    coils = int(imaging.heads[0]["active_channels"])
    found = []
    for head, samples in zip(noise.heads, noise.lines, strict=True):
        if int(head["active_channels"]) != coils:
            continue
        dwell = float(head["sample_time_us"]) / (float(imaging.heads[0]["sample_time_us"]) or 1.0)
        line, _ = _line(path, head, samples, int(head["number_of_samples"]))
        found.append(line * (dwell if np.isfinite(dwell) and dwell > 0 else 1.0) ** 0.5)
    if not found:
        return None
    return np.concatenate(found, axis=1) / _averages(imaging.heads) ** 0.5


def _averages(heads: np.ndarray) -> int:
    """How often each line of the image was measured, as the counter of averages tells."""
    return len(np.unique(heads["idx"]["average"]))


def _flagged(heads: np.ndarray, flags: tuple[int, ...]) -> np.ndarray:
    bits = np.bitwise_or.reduce([np.uint64(1) << np.uint64(flag - 1) for flag in flags])
    return np.asarray((heads["flags"] & bits) != 0)


def _check_simple(path: Path, heads: np.ndarray) -> None:
    if _flagged(heads, (_REVERSED,)).any():
        raise InputError(f"{path}: readouts in both directions (echo-planar): its ghost correction is not supported")
    for counter in _SINGLE:
        count = len(np.unique(heads["idx"][counter]))
        if count > 1:
            raise InputError(f"{path}: {count} different values of {counter}; extract one image series first")
    if len(np.unique(heads["active_channels"])) > 1:
        raise InputError(f"{path}: the number of coils changes between readouts")


def _calibration_lines(
    path: Path, table: _Table, encoding: Encoding, slices: Slices, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, int]:
    """(z, coils, y, x) k-space of calibration lines that were measured apart, and how many of them do not fit the
    image's k-space and are left out."""
    heads, (rows, columns, _) = table.heads, encoding.matrix
    steps = heads["idx"]["kspace_encode_step_1"].astype(int) + _shift(encoding.centre[0], columns)
    fits = np.isin(heads["idx"]["slice"], slices.counters) & (heads["active_channels"] == shape[1])
    fits &= (heads["number_of_samples"] <= rows) & (steps >= 0) & (steps < columns)
    if not fits.any():
        return None, len(heads)
    data, _ = _sort(path, _Table(heads[fits], table.lines[fits]), encoding, slices)
    return data, int((~fits).sum())


def _sort(path: Path, table: _Table, encoding: Encoding, slices: Slices) -> tuple[np.ndarray, np.ndarray]:
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
    if len(np.unique(planes)) < partitions:
        raise InputError(f"{path}: 3D data with {len(np.unique(planes))} of {partitions} partitions; all are needed")
    return np.asarray(planes)


def _shift(centre: int | None, size: int) -> int:
    """What to add to an encoding step so that zero frequency comes to ``size // 2``."""
    return 0 if centre is None else size // 2 - centre


def _line(path: Path, head: np.ndarray, samples: np.ndarray, rows: int) -> tuple[np.ndarray, int]:
    """The valid samples (coils, n) of a readout, and the row of the first: echoes may be asymmetric."""
    count, coils = int(head["number_of_samples"]), int(head["active_channels"])
    if samples.size != 2 * count * coils:
        raise InputError(f"{path}: a readout holds {samples.size // 2} samples, its header says {coils} x {count}")
    first = 0 if count == rows else rows // 2 - int(head["center_sample"])  # whole lines may leave the centre at 0
    if first < 0 or first + count > rows:
        raise InputError(f"{path}: a readout of {count} samples does not fit the header's matrix of {rows}")
    start, stop = int(head["discard_pre"]), count - int(head["discard_post"])
    line = np.ascontiguousarray(samples, np.float32).view(np.complex64).reshape(coils, count)
    return line[:, start:stop], first + start
