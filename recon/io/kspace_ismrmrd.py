"""ISMRMRD raw data (Inati et al., Magn Reson Med 2017): a table of readouts sorted into Cartesian k-space.

The table is read with h5py in one go; the ismrmrd package would read it line by line. Rows of the result are
the readout, columns the phase encoding, as in fastMRI.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits
from recon.io.kspace_checks import RawKSpace
from recon.io.mr_header import Encoding, image_affine, parse_encoding

if TYPE_CHECKING:
    import h5py

# Acquisition flags are numbered from 1 (ismrmrd.h, ISMRMRD_AcquisitionFlags).
_NOT_IMAGING = (19, 20, 23, 24, 26, 27, 28, 29)  # noise, calibration, navigator, phase correction, feedback, dummy
_REVERSED = 22
_SINGLE = ("contrast", "phase", "repetition", "set")
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def find_group(file: h5py.File) -> h5py.Group | None:
    """The group that holds ISMRMRD's ``xml`` and ``data``, or None if the file is something else."""
    import h5py

    groups = [group for group in file.values() if isinstance(group, h5py.Group) and {"xml", "data"} <= set(group)]
    return next((group for group in groups if group.name == "/dataset"), groups[0] if groups else None)


def read_ismrmrd(path: Path, group: h5py.Group) -> RawKSpace:
    """Cartesian multi-slice or 3D k-space: averages averaged, other than imaging readouts left out; of 3D data the
    partition axis is transformed to slices.

    Raises:
        InputError: not Cartesian, echo-planar, several contrasts or repetitions, slices sampled differently, 3D data
            that are undersampled along the partitions, or readouts that contradict the header.
    """
    encoding = parse_encoding(path, group["xml"][()].ravel()[0])
    if encoding.trajectory != "cartesian":
        raise InputError(f"{path}: the trajectory is {encoding.trajectory}; only Cartesian data can be read")
    heads, lines, skipped = _imaging_lines(path, group["data"])
    _check_simple(path, heads)
    data, sampled = _sort(path, heads, lines, encoding)
    if (sampled != sampled[:1]).any():
        raise InputError(
            f"{path}: the slices or partitions are sampled at different places; one mask a volume is needed"
        )
    if encoding.matrix[2] > 1:
        data = _along_partitions(data)
    image_shape = encoding.image_shape(*data.shape[-2:])
    affine, known = _affine(heads, encoding, data.shape, image_shape)
    meta = {"spacing_known": True, "orientation_known": known, "readouts_left_out": skipped}
    return RawKSpace(path, "ismrmrd", data, affine, image_shape=image_shape, meta=meta)


def _imaging_lines(path: Path, table: h5py.Dataset) -> tuple[np.ndarray, np.ndarray, int]:
    """Headers and samples of the readouts that make the image, and how many others there are."""
    if table.dtype.names is None or not {"head", "data"} <= set(table.dtype.names):
        raise InputError(f"{path}: the ISMRMRD table 'data' has no columns 'head' and 'data'")
    heads = table.fields("head")[()]
    check_fits(path, 16 * int((heads["number_of_samples"].astype(int) * heads["active_channels"]).sum()))
    skip = np.bitwise_or.reduce([np.uint64(1) << np.uint64(flag - 1) for flag in _NOT_IMAGING])
    imaging = ((heads["flags"] & skip) == 0) & (heads["encoding_space_ref"] == 0)
    if not imaging.any():
        raise InputError(f"{path}: none of the {len(heads)} readouts is imaging data")
    return heads[imaging], table.fields("data")[()][imaging], int((~imaging).sum())


def _check_simple(path: Path, heads: np.ndarray) -> None:
    if (heads["flags"] & np.uint64(1 << (_REVERSED - 1))).any():
        raise InputError(f"{path}: readouts in both directions (echo-planar): its ghost correction is not supported")
    for counter in _SINGLE:
        count = len(np.unique(heads["idx"][counter]))
        if count > 1:
            raise InputError(f"{path}: {count} different values of {counter}; extract one image series first")
    if len(np.unique(heads["active_channels"])) > 1:
        raise InputError(f"{path}: the number of coils changes between readouts")


def _sort(path: Path, heads: np.ndarray, lines: np.ndarray, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """(z, coils, y, x) averaged k-space, and (z, y, x) bool where there are samples; z is slice or partition."""
    rows, columns, partitions = encoding.matrix
    planes = _planes(path, heads, partitions, encoding.centre[1])
    steps = heads["idx"]["kspace_encode_step_1"].astype(int) + _shift(encoding.centre[0], columns)
    if steps.min() < 0 or steps.max() >= columns:
        raise InputError(f"{path}: a phase-encoding step lies outside the header's matrix of {columns}")
    shape = (int(planes.max()) + 1 if partitions == 1 else partitions, int(heads[0]["active_channels"]), rows, columns)
    check_fits(path, 16 * int(np.prod(shape)))
    data, counts = np.zeros(shape, np.complex64), np.zeros((shape[0], rows, columns), np.int32)
    for head, samples, plane, step in zip(heads, lines, planes, steps, strict=True):
        line, first = _line(path, head, samples, rows)
        data[plane, :, first : first + line.shape[1], step] += line
        counts[plane, first : first + line.shape[1], step] += 1
    data /= np.maximum(counts, 1)[:, None]
    return data, counts > 0


def _planes(path: Path, heads: np.ndarray, partitions: int, centre: int | None) -> np.ndarray:
    """Index along z of every readout."""
    slices, index = np.unique(heads["idx"]["slice"], return_inverse=True)
    if partitions == 1:
        return index
    planes = heads["idx"]["kspace_encode_step_2"].astype(int) + _shift(centre, partitions)
    if len(slices) > 1 or planes.min() < 0 or planes.max() >= partitions:
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


def _along_partitions(data: np.ndarray) -> np.ndarray:
    """Centred orthonormal inverse FFT along the first axis: fully sampled partitions become slices."""
    image = np.fft.ifft(np.fft.ifftshift(data, axes=0), axis=0, norm="ortho")
    return np.fft.fftshift(image, axes=0).astype(np.complex64)


def _affine(
    heads: np.ndarray, encoding: Encoding, shape: tuple[int, ...], image: tuple[int, int]
) -> tuple[np.ndarray, bool]:
    """Affine of the (x, y, z) image to RAS+ mm from the readouts' directions (LPS), and whether these are given."""
    y, x = encoding.pixel_size(*shape[-2:])
    depth = encoding.field_of_view[2] / encoding.matrix[2]
    directions = np.stack([heads[0][f"{axis}_dir"] for axis in ("phase", "read", "slice")]).astype(float)
    if not np.allclose(directions @ directions.T, np.eye(3), atol=1e-2):
        return image_affine((x, y, depth)), False
    centres = np.stack([heads[heads["idx"]["slice"] == k][0]["position"] for k in np.unique(heads["idx"]["slice"])])
    axes = (directions * np.array([[x], [y], [depth]])).T
    axes[:, 2] = _slice_step(centres.astype(float), axes[:, 2])
    to_corner = np.array([image[1] // 2, image[0] // 2, encoding.matrix[2] // 2])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, centres[0] - axes @ to_corner
    affine[:3] *= _LPS_TO_RAS[:, None]
    return affine, True


def _slice_step(centres: np.ndarray, fallback: np.ndarray) -> Any:
    """The vector between slices if their centres are evenly spaced along the normal, else the header's thickness."""
    steps = np.diff(centres, axis=0)
    if len(steps) == 0:
        return fallback
    mean, normal = steps.mean(axis=0), fallback / np.linalg.norm(fallback)
    height = float(mean @ normal)
    even = np.allclose(steps, mean, atol=0.1 * abs(height)) and np.allclose(
        mean, height * normal, atol=0.01 * abs(height)
    )
    return height * normal if even and height else fallback
