"""The fastMRI layout (Zbontar et al., arXiv:1811.08839): one HDF5 file a volume, readout along the rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError
from recon.io.hdf5 import read_dataset
from recon.io.kspace_checks import RawKSpace
from recon.io.mr_header import image_affine, parse_encoding

if TYPE_CHECKING:
    import h5py

_REFERENCES = ("reconstruction_esc", "reconstruction_rss")
_CONTRASTS = {"CORPD_FBK": "PD", "CORPDFS_FBK": "PDFS"}


def read_fastmri(path: Path, file: h5py.File) -> RawKSpace:
    """Single-coil ``kspace`` (z, y, x) or multi-coil (z, coils, y, x), its header, mask and reference.

    The distance of the slices is not in these files; the slice thickness of the header stands for it.
    """
    data = read_coils(path, file)
    reference = read_reference(path, file, data.shape[1])
    affine, image_shape, meta = _header(path, file, data.shape)
    if reference is not None:
        image_shape = reference.shape[-2], reference.shape[-1]
    meta |= _attributes(file.attrs) | {"orientation_known": False}
    return RawKSpace(path, "fastmri", data, affine, read_mask(path, file), image_shape, reference, meta)


def read_coils(path: Path, file: h5py.File) -> np.ndarray:
    """The dataset ``kspace`` as (z, coils, y, x) complex64."""
    data = read_dataset(path, file, "kspace", complex_values=True)
    if data.ndim not in (3, 4):
        raise InputError(f"{path}: kspace is {data.shape}; it must be (z, y, x) or (z, coils, y, x)")
    return data[:, None] if data.ndim == 3 else data


def read_mask(path: Path, file: h5py.File) -> np.ndarray | None:
    """The dataset ``mask`` (test files have one, over the columns), or None."""
    return read_dataset(path, file, "mask", complex_values=False) if "mask" in file else None


def read_reference(path: Path, file: h5py.File, coils: int) -> np.ndarray | None:
    """The (z, y, x) reference image: the single-coil one first for single-coil data."""
    names = _REFERENCES if coils == 1 else reversed(_REFERENCES)
    name = next((name for name in names if name in file), None)
    return None if name is None else read_dataset(path, file, name, complex_values=False)


def _header(
    path: Path, file: h5py.File, shape: tuple[int, ...]
) -> tuple[np.ndarray, tuple[int, int] | None, dict[str, Any]]:
    """Affine, image shape and whether the spacing is known, from ``ismrmrd_header``."""
    if "ismrmrd_header" not in file:
        return np.eye(4), None, {"spacing_known": False}
    content = file["ismrmrd_header"][()]
    if not isinstance(content, bytes):
        raise InputError(f"{path}: 'ismrmrd_header' is no text")
    encoding = parse_encoding(path, content)
    rows, columns = shape[-2:]
    y, x = encoding.pixel_size(rows, columns)
    affine = image_affine((x, y, encoding.field_of_view[2]))
    return affine, encoding.image_shape(rows, columns), {"spacing_known": True}


def _attributes(attributes: Any) -> dict[str, Any]:
    """What the file says of itself, as text: acquisition, patient, and PD or PDFS where that is known."""
    meta = {name: _text(attributes[name]) for name in ("acquisition", "patient_id") if name in attributes}
    if meta.get("acquisition") in _CONTRASTS:
        meta["contrast"] = _CONTRASTS[meta["acquisition"]]
    return meta


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
