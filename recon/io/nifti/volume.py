"""NIfTI-1 and NIfTI-2 in (.nii, .nii.gz, and pairs of .hdr and .img) and out (.nii, .nii.gz).

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
from recon.io.checks import check_fits, check_unpacked, check_values, require_file, without_nan
from recon.io.intensity import NaNs
from recon.io.nifti.header import (
    PROGRAM,
    Grid,
    grid_of,
    is_pair,
    one_line,
    parse_header,
    quiet_nibabel,
    read_block,
    version_of,
)
from recon.io.orientation import from_canonical, to_canonical

if TYPE_CHECKING:
    from recon.scan.volume import Modality, Volume

_GZIP = b"\x1f\x8b"
_MAX_OFFSET = 1 << 28  # header extensions lie before the voxels, but none is that long
_MAX_TAIL = 1 << 24  # bytes after the voxels: rounding to blocks, never another volume
_CHUNK = 1 << 20
_PAIR = {".hdr": ".img", ".img": ".hdr"}


@dataclass(frozen=True)
class StoredImage:
    """A NIfTI file as stored: (i, j, k) float32 ``array``, its ``grid``, nibabel ``header``, all ``notices``."""

    array: np.ndarray
    grid: Grid
    header: Any
    notices: tuple[str, ...]

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) affine in mm."""
        return self.grid.affine


def is_nifti(path: Path) -> bool:
    """Whether the file begins like a NIfTI file, compressed or not, or is the voxels of such a header."""
    try:
        with _open(path) as stream:
            if version_of(stream.read(540)) is not None:
                return True
        header = _partner(path) if _suffix(path) == ".img" else None
        if header is None:
            return False
        with _open(header) as stream:
            return version_of(stream.read(540)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def header_of(path: Path) -> Any | None:
    """The header of a file that is NIfTI and undamaged so far, else None."""
    try:
        with _open(path) as stream:
            return parse_header(path, read_block(path, stream))
    except (OSError, EOFError, zlib.error, InputError):
        return None


def read_volume(path: Path, modality: Modality, nan: NaNs = "refuse") -> Volume:
    """The volume in a NIfTI file, in canonical orientation, with all that :func:`write_volume` needs.

    CT voxels are taken as HU. A complex MR image becomes its magnitude. Spacing is in mm (a file that states no unit
    is taken to mean mm). A 2D image is one slice.

    Args:
        path: the file; of a pair, the header or the voxels.
        modality: ``CT`` or ``MR``.
        nan: ``air`` takes voxels that are NaN as air (CT) or 0 (MR).

    Raises:
        InputError: missing, damaged or not NIfTI; not one image; RGB, or complex for CT; NaN, infinity or a
            constant; a voxel size that is not positive, a sheared affine, a unit that cannot be meant; more memory
            than there is.
    """
    import torch

    from recon.scan.volume import Source, Volume

    stored = load_stored(path, modality, nan)
    data, affine = to_canonical(stored.array, stored.affine)
    header = {"nifti_header": stored.header.binaryblock, "nifti_version": version_of(stored.header.binaryblock)}
    source = Source(path, "nifti", stored.affine, stored.grid.shape, header, orientation_known=stored.grid.placed)
    return Volume(torch.from_numpy(data), affine, modality, source, notices=stored.notices)


def load_stored(path: Path, modality: Modality | None, nan: NaNs = "refuse", *, label_map: bool = False) -> StoredImage:
    """The file's voxels and header, checked but not reoriented; ``modality`` None accepts what either accepts.

    A label map may be constant, and a few bytes may unpack to very many.
    """
    require_file(path)
    header_path, voxel_path = _files(path)
    try:
        with _open(header_path) as stream:
            block = read_block(header_path, stream)
            header = parse_header(header_path, block)
            grid = grid_of(header_path, header)
            if not is_pair(block):
                array, notices = _read_voxels(path, stream, header, grid.shape, modality, label_map)
            elif voxel_path is None:
                raise InputError(f"{path}: a NIfTI header whose voxels lie in another file, {_other(path)}: not there")
        if is_pair(block) and voxel_path is not None:
            require_file(voxel_path)
            with _open(voxel_path) as stream:
                array, notices = _read_voxels(voxel_path, stream, header, grid.shape, modality, label_map)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: damaged or truncated gzip data ({error}); copy the file again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    array, more = without_nan(path, array, modality, nan)
    if not (label_map and np.ptp(array) == 0):
        check_values(path, array, "volume")
    _make_single(header)
    return StoredImage(array, grid, header, (*grid.notices, *notices, *more))


def write_volume(path: Path, volume: Volume, dtype: type[np.generic] = np.float32) -> None:
    """Write a volume as NIfTI on its source's grid: orientation, affine, qform and sform as they were.

    A volume whose grid is no longer its source's (cropped, say) keeps the source's axis order and gets its
    own affine. One that never was in a NIfTI file gets an sform and a qform with code 1 (scanner). Where its source
    does not say where the patient's sides are, the code is 0 (unknown), or of CT 2 (aligned): its voxels lie along the
    axes of the scanner's geometry, and readers that take an affine of code 0 for another would mirror them.

    Args:
        path: the file.
        volume: the volume.
        dtype: the type of the numbers in the file.
    """
    import nibabel

    source = volume.source
    like = volume.affine if source is None else source.affine
    array, affine = from_canonical(volume.data.numpy(), volume.affine, like)
    header = _header_for(volume)
    header.set_data_dtype(dtype)
    same_grid = source is not None and array.shape == source.shape and np.allclose(affine, source.affine, atol=1e-4)
    if "nifti_header" not in (source.header if source else {}):
        code = 1 if source is None or source.orientation_known else 2 if volume.modality == "CT" else 0
        header.set_sform(affine, code=code)
        header.set_qform(affine, code=code)
    elif not same_grid:
        header.set_sform(affine, code=int(header["sform_code"]) or 1)
        header.set_qform(affine, code=int(header["qform_code"]))
    image_class = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    nibabel.save(image_class(np.asarray(array, dtype), None, header), path)


def _header_for(volume: Volume) -> Any:
    """The source's header where there is one, without what described the source's voxel values."""
    import nibabel

    extras = volume.source.header if volume.source else {}
    if "nifti_header" in extras:
        header_class = nibabel.Nifti2Header if extras["nifti_version"] == 2 else nibabel.Nifti1Header
        header = header_class(extras["nifti_header"])
    else:
        header = nibabel.Nifti1Header()
        header.set_xyzt_units("mm" if volume.source is None or volume.source.spacing_known else "unknown")
    header["descrip"] = PROGRAM
    header["cal_min"] = header["cal_max"] = 0
    header.set_slope_inter(None, None)
    return header


def _make_single(header: Any) -> None:
    """The header of one file with header and voxels, whatever it was read from: results are written so."""
    header["magic"] = header.single_magic
    header["vox_offset"] = 0


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    """The file's content, decompressed if its first bytes (not its name) say gzip."""
    with path.open("rb") as stream:
        compressed = stream.read(2) == _GZIP
    return gzip.open(path, "rb") if compressed else path.open("rb")  # type: ignore[return-value]


def _suffix(path: Path) -> str:
    """The last suffix in small letters, without ``.gz``."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _other(path: Path) -> str:
    """The name of the other file of a pair."""
    stem = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return Path(stem).stem + _PAIR.get(_suffix(path), ".img")


def _partner(path: Path) -> Path | None:
    """The other file of a pair, compressed or not; None if it is not there."""
    candidates = (path.with_name(_other(path) + ending) for ending in ("", ".gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _files(path: Path) -> tuple[Path, Path | None]:
    """The file with the header, and that with the voxels where it is another one."""
    if _suffix(path) != ".img":
        return path, _partner(path)
    header = _partner(path)
    if header is None:
        raise InputError(f"{path}: the voxels of a NIfTI pair, whose header {_other(path)} is not there")
    return header, path


def _read_voxels(
    path: Path,
    stream: BinaryIO,
    header: Any,
    shape: tuple[int, int, int],
    modality: Modality | None,
    label_map: bool,
) -> tuple[np.ndarray, list[str]]:
    """(i, j, k) float32 with the header's slope and intercept applied, and notices."""
    dtype = header.get_data_dtype()
    if dtype.kind not in "iufc":
        raise InputError(f"{path}: a colour image ({header.get_value_label('datatype')}); one value a voxel is needed")
    if dtype.kind == "c" and modality == "CT":
        raise InputError(f"{path}: a complex image; a CT volume holds real HU")
    size = math.prod(shape) * dtype.itemsize
    if not label_map:
        check_unpacked(path, size, path.stat().st_size)
    check_fits(path, size + 12 * math.prod(shape))  # as stored, float32, reoriented copy, one to work on
    stream.seek(_voxel_offset(path, header))
    content = stream.read(size)
    if len(content) < size:
        raise InputError(f"{path}: truncated: {len(content)} of {size} bytes of voxels are there; copy the file again")
    notices = _read_tail(path, stream)
    stored = np.frombuffer(content, dtype).reshape(shape, order="F")
    return _scaled(np.abs(stored) if dtype.kind == "c" else stored, *_slope_intercept(path, header)), notices


def _read_tail(path: Path, stream: BinaryIO) -> list[str]:
    """Read compressed data to their end: only there does gzip check its sum.

    What follows the end (zeros up to a block of a tape or disk, say) was never part of the compressed data.
    """
    if not isinstance(stream, gzip.GzipFile):
        return []
    tail = 0
    try:
        while part := stream.read(_CHUNK):
            tail += len(part)
            if tail > _MAX_TAIL:
                raise InputError(f"{path}: more than {_MAX_TAIL >> 20} MiB follow the voxels; it is not one volume")
    except gzip.BadGzipFile as error:
        if not str(error).startswith("Not a gzipped file"):  # the checksum, then, and not bytes behind it
            raise
        return ["the file goes on behind its compressed data; these bytes were passed over"]
    return []


def _voxel_offset(path: Path, header: Any) -> int:
    """Where the voxels begin; of the voxels of a pair, mostly 0."""
    offset = float(header["vox_offset"])
    least = 0 if bytes(header["magic"].item())[:2] == b"ni" else header.sizeof_hdr
    if not least <= offset <= _MAX_OFFSET:
        raise InputError(f"{path}: the NIfTI header is damaged (vox_offset is {offset})")
    return int(offset)


def _slope_intercept(path: Path, header: Any) -> tuple[float | None, float | None]:
    from nibabel.spatialimages import HeaderDataError

    try:
        with quiet_nibabel():
            return header.get_slope_inter()
    except HeaderDataError as error:
        raise InputError(f"{path}: the NIfTI header is damaged ({one_line(error)})") from error


def _scaled(stored: np.ndarray, slope: float | None, intercept: float | None) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found by the check for infinity
        if slope is None or (slope, intercept) == (1, 0):
            return stored.astype(np.float32)
        return (stored * np.float64(slope) + np.float64(intercept or 0)).astype(np.float32)
