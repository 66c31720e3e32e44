"""NIfTI-1 and NIfTI-2 single files (.nii, .nii.gz) in and out.

The header is nibabel's; the voxels are read here, to the end of the file, so that gzip's checksum is
verified and a damaged scan is never taken for a whole one.
"""

from __future__ import annotations

import gzip
import math
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, check_values, require_file
from recon.io.orientation import check_affine, from_canonical, to_canonical

if TYPE_CHECKING:
    from recon.scan.volume import Modality, Volume

_GZIP = b"\x1f\x8b"
_HEADER_BYTES = {348: 1, 540: 2}  # sizeof_hdr to NIfTI version
_UNITS = {0: "unknown", 1: "metre", 2: "mm", 3: "micron"}
_MAX_OFFSET = 1 << 30  # header extensions lie before the voxels, but none is that long
_CHUNK = 1 << 22


@dataclass(frozen=True)
class StoredImage:
    """A NIfTI file as stored: (i, j, k) float32 ``array``, (4, 4) ``affine`` in mm, nibabel ``header``."""

    array: np.ndarray
    affine: np.ndarray
    header: Any


def is_nifti(path: Path) -> bool:
    """Whether the file begins like a NIfTI file, compressed or not."""
    try:
        with _open(path) as stream:
            return _version(stream.read(540)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def read_volume(path: Path, modality: Modality) -> Volume:
    """The volume in a NIfTI file, in canonical orientation, with all that :func:`write_volume` needs.

    CT voxels are taken as HU. A complex MR image becomes its magnitude. Spacing is in mm (a file that
    states no unit is taken to mean mm).

    Raises:
        InputError: missing, damaged or not NIfTI; not one 3D volume; RGB, or complex for CT; NaN, infinity or a
            constant; a voxel size that is not positive, a sheared affine, a unit other than mm.
    """
    import torch

    from recon.scan.volume import Source, Volume

    stored = load_stored(path, modality)
    data, affine = to_canonical(stored.array, stored.affine)
    i, j, k = stored.array.shape
    header = {"nifti_header": stored.header.binaryblock, "nifti_version": _version(stored.header.binaryblock)}
    source = Source(path, "nifti", stored.affine, (i, j, k), header)
    return Volume(torch.from_numpy(data), affine, modality, source)


def load_stored(path: Path, modality: Modality | None) -> StoredImage:
    """The file's voxels and header, checked but not reoriented; ``modality`` None accepts what either accepts."""
    require_file(path)
    try:
        with _open(path) as stream:
            header = _read_header(path, stream)
            shape = _volume_shape(path, header)
            affine = _checked_affine(path, header)
            array = _read_voxels(path, stream, header, shape, modality)
            while stream.read(_CHUNK):  # to the end: only there does gzip check its sum
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: damaged or truncated gzip data ({error}); copy the file again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    check_values(path, array, "volume")
    return StoredImage(array, affine, header)


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume as float32 NIfTI on its source's grid: orientation, affine, qform and sform as they were.

    A volume whose grid is no longer its source's (cropped, say) keeps the source's axis order and gets its
    own affine. One that never was in a NIfTI file gets an sform and a qform with code 1 (scanner).
    """
    import nibabel

    source = volume.source
    like = volume.affine if source is None else source.affine
    array, affine = from_canonical(volume.data.numpy(), volume.affine, like)
    header = _header_for(volume)
    same_grid = source is not None and array.shape == source.shape and np.allclose(affine, source.affine, atol=1e-4)
    if "nifti_header" not in (source.header if source else {}):
        header.set_sform(affine, code=1)
        header.set_qform(affine, code=1)
    elif not same_grid:
        header.set_sform(affine, code=int(header["sform_code"]) or 1)
        header.set_qform(affine, code=int(header["qform_code"]))
    image_class = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    nibabel.save(image_class(np.asarray(array, np.float32), None, header), path)


def _header_for(volume: Volume) -> Any:
    """The source's header where there is one, without what described the source's voxel values."""
    import nibabel

    extras = volume.source.header if volume.source else {}
    if "nifti_header" in extras:
        header_class = nibabel.Nifti2Header if extras["nifti_version"] == 2 else nibabel.Nifti1Header
        header = header_class(extras["nifti_header"])
    else:
        header = nibabel.Nifti1Header()
        header.set_xyzt_units("mm")
    header.set_data_dtype(np.float32)
    header["cal_min"] = header["cal_max"] = 0
    header.set_slope_inter(None, None)
    return header


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    """The file's content, decompressed if its first bytes (not its name) say gzip."""
    with path.open("rb") as stream:
        compressed = stream.read(2) == _GZIP
    return gzip.open(path, "rb") if compressed else path.open("rb")  # type: ignore[return-value]


def _version(block: bytes) -> int | None:
    """1 or 2 for the start of a NIfTI file of either byte order, else None."""
    sizes = {int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")}
    version = next((_HEADER_BYTES[size] for size in sizes if size in _HEADER_BYTES), None)
    magic = block[344:348] if version == 1 else block[4:8]
    return version if magic[:3] in (b"n+1", b"n+2", b"ni1", b"ni2") else None


def _read_header(path: Path, stream: BinaryIO) -> Any:
    import nibabel
    from nibabel.imageglobals import LoggingOutputSuppressor
    from nibabel.spatialimages import HeaderDataError

    block = stream.read(348)
    if block[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c"):  # 540: NIfTI-2
        block += stream.read(540 - 348)
    version = _version(block)
    if version is None:
        raise InputError(f"{path}: not a NIfTI file; give a .nii or .nii.gz volume")
    if b"ni" in (block[344:346], block[4:6]):
        raise InputError(f"{path}: a NIfTI header whose voxels lie in another file; convert the pair to .nii.gz")
    header_class = nibabel.Nifti2Header if version == 2 else nibabel.Nifti1Header
    if len(block) < header_class.sizeof_hdr:
        raise InputError(f"{path}: the file ends within its header: it is truncated")
    _check_spacing(path, header_class(block, check=False))
    try:
        with LoggingOutputSuppressor():
            return header_class(block, check=True)
    except (HeaderDataError, ValueError) as error:
        raise InputError(f"{path}: the NIfTI header is damaged ({_line(error)})") from error


def _check_spacing(path: Path, header: Any) -> None:
    """Refuse sizes that are not positive, on the header as stored: nibabel's own check silently makes them 1."""
    spacing = np.asarray(header["pixdim"][1:4], float)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        sizes = " x ".join(f"{size:g}" for size in spacing)
        raise InputError(f"{path}: the header's voxel size (pixdim) is {sizes}; it must be positive along every axis")
    unit = _UNITS.get(int(header["xyzt_units"]) & 7, "an unknown code")
    if unit not in ("unknown", "mm"):
        raise InputError(f"{path}: the header's spatial unit is {unit}; convert it and the affine to mm")


def _volume_shape(path: Path, header: Any) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in header.get_data_shape())
    if min(shape, default=0) < 1:
        raise InputError(f"{path}: an image of shape {_shape(shape)} is empty")
    if len(shape) < 3:
        raise InputError(f"{path}: a 2D image ({_shape(shape)}); a 3D volume is needed")
    if math.prod(shape[3:]) > 1:
        raise InputError(f"{path}: {math.prod(shape[3:])} volumes in one file ({_shape(shape)}); give a file with one")
    return shape[0], shape[1], shape[2]


def _checked_affine(path: Path, header: Any) -> np.ndarray:
    from nibabel.spatialimages import HeaderDataError

    try:
        affine = np.asarray(header.get_best_affine(), float)
    except (HeaderDataError, ValueError) as error:
        raise InputError(f"{path}: the header's orientation is damaged ({_line(error)})") from error
    check_affine(path, affine)
    return affine


def _read_voxels(
    path: Path, stream: BinaryIO, header: Any, shape: tuple[int, int, int], modality: Modality | None
) -> np.ndarray:
    """(i, j, k) float32 with the header's slope and intercept applied; the stream stands after the header."""
    dtype = header.get_data_dtype()
    if dtype.kind not in "iufc":
        raise InputError(f"{path}: a colour image ({header.get_value_label('datatype')}); one value a voxel is needed")
    if dtype.kind == "c" and modality == "CT":
        raise InputError(f"{path}: a complex image; a CT volume holds real HU")
    size = math.prod(shape) * dtype.itemsize
    check_fits(path, size + 12 * math.prod(shape))  # as stored, float32, reoriented copy, one to work on
    stream.seek(_voxel_offset(path, header))
    content = stream.read(size)
    if len(content) < size:
        raise InputError(f"{path}: truncated: {len(content)} of {size} bytes of voxels are there; copy the file again")
    stored = np.frombuffer(content, dtype).reshape(shape, order="F")
    return _scaled(np.abs(stored) if dtype.kind == "c" else stored, *_slope_intercept(path, header))


def _voxel_offset(path: Path, header: Any) -> int:
    offset = float(header["vox_offset"])
    if not header.sizeof_hdr <= offset <= _MAX_OFFSET:
        raise InputError(f"{path}: the NIfTI header is damaged (vox_offset is {offset})")
    return int(offset)


def _slope_intercept(path: Path, header: Any) -> tuple[float | None, float | None]:
    from nibabel.spatialimages import HeaderDataError

    try:
        return header.get_slope_inter()
    except HeaderDataError as error:
        raise InputError(f"{path}: the NIfTI header is damaged ({_line(error)})") from error


def _scaled(stored: np.ndarray, slope: float | None, intercept: float | None) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found by the check for infinity
        if slope is None or (slope, intercept) == (1, 0):
            return stored.astype(np.float32)
        return (stored * np.float64(slope) + np.float64(intercept or 0)).astype(np.float32)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "nothing"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
