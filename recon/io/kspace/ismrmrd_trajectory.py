"""ISMRMRD raw data along a trajectory: radial, spiral and others, of slices or stacks.

The coordinates lie in the file beside the samples of every readout, along the readout's and the phase encoding's
direction, which are the rows and the columns of the image; or the user names a file that has them. Where a header says
nothing else, partitions are counted by the second encoding step.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits
from recon.io.hdf5 import dataset_of
from recon.io.kspace.ismrmrd_geometry import affine_of, slices_of
from recon.io.kspace.ismrmrd_table import (
    Readouts,
    Table,
    kept_samples,
    noise_readouts,
    one_series,
    read_table,
    valid_samples,
)
from recon.io.kspace.mr_header import Encoding
from recon.io.kspace.off_grid import RawOffGrid
from recon.io.kspace.request import KSpaceRequest
from recon.io.kspace.trajectory_file import read_trajectory_file
from recon.io.printable import printable

if TYPE_CHECKING:
    import h5py


def read_ismrmrd_along(path: Path, group: h5py.Group, encoding: Encoding, request: KSpaceRequest) -> RawOffGrid:
    """Slices, or the partitions of a stack, along the trajectory that the readouts state.

    Raises:
        InputError: readouts without coordinates, of different lengths, or not as many in every slice or partition;
            several contrasts or repetitions.
    """
    given = None if request.trajectory is None else read_trajectory_file(request.trajectory)
    table = read_table(path, dataset_of(path, group, "data"), trajectories=given is None)
    readouts = one_series(path, table, request)
    imaging = readouts.imaging
    slices = slices_of(path, imaging.heads)
    depth = encoding.matrix[2]
    planes = slices.index(imaging.heads["idx"]["slice"]) if depth == 1 else _partitions(path, imaging, encoding)
    data, order, measured = _sorted(path, imaging, planes, len(slices.counters) if depth == 1 else depth)
    trajectory = given if given is not None else _coordinates(path, imaging)[order]
    voxels = request.matrix or encoding.image_matrix
    scale, field_of_view = encoding.voxels_of_the_image(voxels)
    affine, known = affine_of(imaging.heads, scale, (*data.shape[:2], *voxels), voxels, slices)
    return RawOffGrid(
        path,
        "ismrmrd",
        data,
        trajectory,
        voxels,
        field_of_view,
        printable(encoding.trajectory),
        affine,
        None if depth == 1 else measured,
        noise_readouts=noise_readouts(path, readouts.noise, imaging),
        meta={"spacing_known": True, "orientation_known": known, "readouts_left_out": _left_out(readouts)},
        notices=slices.notices,
    )


def _left_out(readouts: Readouts) -> int:
    return readouts.others + len(readouts.calibration.heads)


def _partitions(path: Path, table: Table, encoding: Encoding) -> np.ndarray:
    """Index along kz of every readout."""
    depth, centre = encoding.matrix[2], encoding.centre[1]
    planes = table.heads["idx"]["kspace_encode_step_2"].astype(int) + (0 if centre is None else depth // 2 - centre)
    if len(np.unique(table.heads["idx"]["slice"])) > 1 or planes.min() < 0 or planes.max() >= depth:
        raise InputError(f"{path}: several slabs, or a partition outside the header's matrix of {depth}")
    return np.asarray(planes)


def _sorted(path: Path, table: Table, planes: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(depth, coils, readouts, samples) of the readouts in order of the first encoding step, the (depth, readouts)
    indices of the readouts that are there, and the (depth,) bool planes that have some."""
    counts = np.bincount(planes, minlength=depth)
    if len(set(counts[counts > 0])) != 1:
        raise InputError(
            f"{path}: slices or partitions of {counts[counts > 0].min()} to {counts.max()} readouts; all need as many"
        )
    lengths = {kept.stop - kept.start for kept in (kept_samples(path, head) for head in table.heads)}
    if len(lengths) != 1:
        raise InputError(f"{path}: readouts of {min(lengths)} to {max(lengths)} samples; all need as many")
    order = np.lexsort((table.heads["idx"]["kspace_encode_step_1"], planes)).reshape(-1, counts.max())
    shape = (depth, int(table.heads[0]["active_channels"]), int(counts.max()), lengths.pop())
    check_fits(path, 16 * int(np.prod(shape, dtype=object)))
    data, filled = np.zeros(shape, np.complex64), np.zeros((depth, counts.max()), int)
    for plane, readouts in zip(np.flatnonzero(counts), order, strict=True):
        filled[plane] = readouts
        for place, each in enumerate(readouts):
            data[plane, :, place] = valid_samples(path, table.heads[each], table.lines[each])
    return data, filled, counts > 0


def _coordinates(path: Path, table: Table) -> np.ndarray:
    """(readouts, samples, 2) coordinates of every readout, without the samples that are to be discarded.

    A third coordinate is left to the encoding steps, which count partitions.
    """
    axes = np.unique(table.heads["trajectory_dimensions"])
    if table.points is None or len(axes) != 1 or axes[0] not in (2, 3):
        raise InputError(
            f"{path}: its readouts state no coordinates (trajectory_dimensions {', '.join(map(str, axes))}; 2 or 3 are "
            "needed): give `trajectory`, a file of them"
        )
    found = []
    for head, points in zip(table.heads, table.points, strict=True):
        count = int(head["number_of_samples"])
        if points.size != count * axes[0]:
            raise InputError(
                f"{path}: a readout of {count} samples has {points.size} coordinates, not {axes[0] * count}"
            )
        found.append(np.asarray(points, np.float64).reshape(count, axes[0])[kept_samples(path, head), :2])
    return np.stack(found)
