"""The fastMRI layout (Zbontar et al., arXiv:1811.08839): one HDF5 file a volume, readout along the rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.hdf5 import dataset_of, read_dataset, read_text
from recon.io.kspace.arrays import in_axes_order, volume_as_slices
from recon.io.kspace.checks import RawKSpace
from recon.io.kspace.mr_header import Encoding, image_affine, parse_encoding
from recon.io.kspace.plausible import check_centred, check_slices
from recon.io.printable import printable

if TYPE_CHECKING:
    import h5py

_REFERENCES = ("reconstruction_esc", "reconstruction_rss")
_TRANSPOSED = "the array's image axes are those of its header in the other order: they were exchanged"
_CONTRASTS = {"CORPD_FBK": "PD", "CORPDFS_FBK": "PDFS"}


def read_fastmri(path: Path, file: h5py.File, axes: str | None = None) -> RawKSpace:
    """Single-coil ``kspace`` (z, y, x) or multi-coil (z, coils, y, x), its header, mask and reference.

    The distance of the slices is not in these files; the slice thickness of the header stands for it. An array whose
    image axes are the header's in the other order is transposed. Of 3D k-space, which this layout does not have by
    itself, ``axes`` states the order, with p for the partitions, such as pcyx; an axis that is sampled in full is
    transformed to slices.

    Raises:
        InputError: a damaged file, zero frequency at an edge, or 3D k-space.
    """
    if axes is not None:
        return _read_volume(path, file, axes)
    data = read_coils(path, file)
    encoding = _encoding(path, file)
    notices: tuple[str, ...] = ()
    if encoding is not None and _is_transposed(encoding, data.shape):
        data, notices = np.ascontiguousarray(data.swapaxes(-1, -2)), (_TRANSPOSED,)
    check_centred(path, data)
    check_slices(path, data, "name that axis p in `axes`, such as `axes` pcyx, to have it transformed")
    reference = read_reference(path, file, data.shape[1])
    affine, image_shape = _geometry(encoding, data.shape)
    if reference is not None:
        image_shape = reference.shape[-2], reference.shape[-1]
    meta = _attributes(file.attrs) | {"spacing_known": encoding is not None, "orientation_known": False}
    return RawKSpace(
        path,
        "fastmri",
        data,
        affine,
        read_mask(path, file),
        image_shape,
        reference,
        columns=_between_padding(file.attrs, data.shape[-1]),
        meta=meta,
        notices=notices,
    )


def _read_volume(path: Path, file: h5py.File, axes: str) -> RawKSpace:
    """3D k-space in the order that the user states; neither voxel size nor orientation are known of its slices."""
    data = in_axes_order(path, read_dataset(path, file, "kspace", complex_values=True), axes)
    check_centred(path, data)
    meta = _attributes(file.attrs) | {"spacing_known": False, "orientation_known": False}
    mask = read_mask(path, file)
    notices: tuple[str, ...] = ()
    partitions = "p" in axes.lower()
    if partitions:
        data, mask, notices = volume_as_slices(path, data, mask)
    return RawKSpace(path, "fastmri", data, np.eye(4), mask, transformed=partitions, meta=meta, notices=notices)


def read_coils(path: Path, file: h5py.File) -> np.ndarray:
    """The dataset ``kspace`` as (z, coils, y, x) complex64."""
    data = read_dataset(path, file, "kspace", complex_values=True)
    if data.ndim not in (3, 4):
        raise InputError(f"{path}: kspace is {data.shape}; it must be (z, y, x) or (z, coils, y, x)")
    return data[:, None] if data.ndim == 3 else data


def read_mask(path: Path, file: h5py.File) -> np.ndarray | None:
    """The dataset ``mask`` (test files have one, over the columns), or None."""
    if "mask" not in file.keys():  # noqa: SIM118  (`in file` would follow links)
        return None
    shape = dataset_of(path, file, "mask").shape
    data = dataset_of(path, file, "kspace").shape
    if math.prod(shape) > math.prod(data[-2:]):
        raise InputError(f"{path}: the mask is {shape}, the k-space {data[-2:]} (y, x): it must be that or {data[-1:]}")
    return read_dataset(path, file, "mask", complex_values=False)


def read_reference(path: Path, file: h5py.File, coils: int) -> np.ndarray | None:
    """The (z, y, x) reference image: the single-coil one first for single-coil data."""
    names = _REFERENCES if coils == 1 else reversed(_REFERENCES)
    name = next((name for name in names if name in file.keys()), None)  # noqa: SIM118  (`in file` would follow links)
    return None if name is None else read_dataset(path, file, name, complex_values=False)


def _encoding(path: Path, file: h5py.File) -> Encoding | None:
    """The header, or None where there is none."""
    if "ismrmrd_header" not in file.keys():  # noqa: SIM118  (`in file` would follow links)
        return None
    return parse_encoding(path, read_text(path, file, "ismrmrd_header"))


def _is_transposed(encoding: Encoding, shape: tuple[int, ...]) -> bool:
    """Whether the readout, whose length the header states, lies along the columns and not along the rows."""
    readout, phase = encoding.matrix[:2]
    return shape[-2] != readout and shape[-1] == readout and readout != phase


def _geometry(encoding: Encoding | None, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Affine and image shape; voxels of 1 mm where there is no header."""
    if encoding is None:
        return np.eye(4), None
    rows, columns = shape[-2:]
    y, x = encoding.pixel_size(rows, columns)
    return image_affine((x, y, encoding.field_of_view[2])), encoding.image_shape(rows, columns)


def _between_padding(attributes: Any, columns: int) -> slice | None:
    """The columns that were acquired: fastMRI's files say where the padding of the others ends and begins."""
    try:
        left, right = int(attributes["padding_left"]), int(attributes["padding_right"])
    except (KeyError, TypeError, ValueError):
        return None
    return slice(left, right) if 0 <= left < right <= columns and (left, right) != (0, columns) else None


def _attributes(attributes: Any) -> dict[str, Any]:
    """What the file says of itself, as text: acquisition, patient, and PD or PDFS where that is known."""
    meta = {name: printable(attributes[name]) for name in ("acquisition", "patient_id") if name in attributes}
    if meta.get("acquisition") in _CONTRASTS:
        meta["contrast"] = _CONTRASTS[meta["acquisition"]]
    return meta
