"""k-space in .npy and .npz files, whose axis order the user states."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, require_file
from recon.io.kspace_checks import RawKSpace

_AXES = "zcyx"
_EXAMPLES = {2: "yx", 3: "cyx (coils first) or `axes` zyx (slices first)", 4: "zcyx"}
_ERRORS = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)  # what numpy and zipfile raise, depending on the byte that is damaged


def is_numpy(path: Path) -> bool:
    """Whether the file begins like .npy, or like the zip file that .npz is."""
    with path.open("rb") as stream:
        return stream.read(6).startswith((b"\x93NUMPY", b"PK\x03\x04"))


def read_numpy(path: Path, axes: str | None) -> RawKSpace:
    """Complex k-space from an array with the axes ``axes``: a permutation of some of z, c, y, x, with y and x.

    An .npz file may hold a ``mask`` beside ``kspace`` (or beside its one complex array). The voxel size is not in
    such files and taken as 1 mm.

    Raises:
        InputError: no axis order, one that does not fit, real values, zero frequency in the corner, damaged files,
            pickled objects.
    """
    require_file(path)
    with _readable(path):
        data, mask = _load(path)
    order = _checked_axes(path, data.shape, axes)
    data = _in_order(data, order)
    if mask is not None and mask.ndim == 2 and order.index("x") < order.index("y"):
        mask = mask.T
    _check_centred(path, data)
    meta = {"spacing_known": False, "orientation_known": False}
    return RawKSpace(path, "numpy", data, np.eye(4), mask, meta=meta)


def array_shapes(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of every array in the file by name (the array of an .npy file is called ``array``).

    Raises:
        InputError: a damaged file.
    """
    require_file(path)
    with _readable(path):
        if not _is_zip(path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return {"array": (array.shape, str(array.dtype))}
        with np.load(path, allow_pickle=False) as arrays:
            loaded = {name: arrays[name] for name in arrays.files}
        return {name: (array.shape, str(array.dtype)) for name, array in loaded.items()}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """numpy's errors on a damaged file, or on pickled objects, as one line; nothing is read that cannot fit."""
    try:
        if _is_zip(path):
            with zipfile.ZipFile(path) as archive:
                check_fits(path, 3 * sum(member.file_size for member in archive.infolist()))
        yield
    except _ERRORS as error:
        raise InputError(f"{path}: not a readable .npy or .npz file ({' '.join(str(error).split())})") from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def _load(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The k-space array and the mask, if any; never unpickles."""
    if not _is_zip(path):
        return _complex(path, np.load(path, mmap_mode="r", allow_pickle=False)), None
    with np.load(path, allow_pickle=False) as arrays:
        name = _kspace_name(path, arrays)
        mask = np.asarray(arrays["mask"]) if "mask" in arrays.files and name != "mask" else None
        return _complex(path, arrays[name]), mask


def _kspace_name(path: Path, arrays: np.lib.npyio.NpzFile) -> str:
    if "kspace" in arrays.files:
        return "kspace"
    shapes = {name: (arrays[name].shape, arrays[name].dtype) for name in arrays.files if name != "mask"}
    candidates = [name for name, (_, dtype) in shapes.items() if dtype.kind == "c"]
    if len(candidates) != 1:
        listed = ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in list(shapes.items())[:5])
        raise InputError(f"{path}: which array is the k-space? name it 'kspace'; there are {listed or 'none'}")
    return candidates[0]


def _complex(path: Path, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "c":
        raise InputError(
            f"{path}: an array of {array.dtype} with shape {array.shape}; k-space is complex "
            "(save an image as NIfTI instead)"
        )
    return np.array(array, np.complex64)


def _checked_axes(path: Path, shape: tuple[int, ...], axes: str | None) -> str:
    example = _EXAMPLES.get(len(shape), "zcyx")
    if axes is None:
        raise InputError(
            f"{path}: an array of shape {shape} needs its axis order: give `axes`, such as `axes` {example}"
        )
    order = axes.lower()
    if not {"y", "x"} <= set(order) <= set(_AXES) or len(set(order)) != len(order):
        raise InputError(f"`axes` {axes}: must hold y and x, and z (slices) and c (coils) if there are such, each once")
    if len(order) != len(shape):
        raise InputError(
            f"`axes` {axes}: names {len(order)} axes, {path} has {len(shape)}: {shape}; such as `axes` {example}"
        )
    return order


def _in_order(data: np.ndarray, order: str) -> np.ndarray:
    """The array with axes ``order`` as (z, coils, y, x)."""
    missing = tuple(axis for axis in _AXES if axis not in order)
    full = data.reshape((1,) * len(missing) + data.shape)
    names = "".join(missing) + order
    return np.ascontiguousarray(full.transpose([names.index(axis) for axis in _AXES]))


def _check_centred(path: Path, data: np.ndarray) -> None:
    """Refuse k-space as ``np.fft.fft2`` returns it: its zero frequency, the strongest, lies in the corner."""
    with np.errstate(over="ignore", invalid="ignore"):  # values that are not finite are another check's business
        energy = np.square(np.abs(data), dtype=np.float64).sum(axis=(0, 1))
    if min(energy.shape) < 8 or not np.isfinite(energy).all() or not energy.any():
        return
    peak = np.unravel_index(int(energy.argmax()), energy.shape)
    if all(min(int(k), n - int(k)) <= 1 for k, n in zip(peak, energy.shape, strict=True)):
        raise InputError(
            f"{path}: the zero frequency lies in the corner; it must be at the centre: "
            "apply np.fft.fftshift over y and x"
        )
