"""Arrays in .npy and .npz files: what they are from their headers, and one of them read within bounds."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, check_unpacked, require_file

_MOST_ARRAYS = 100
_ERRORS = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, RuntimeError, SyntaxError, RecursionError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, OverflowError),
)  # what numpy and zipfile raise, depending on the byte that is damaged

Header = tuple[tuple[int, ...], np.dtype]
"""Shape and type of an array."""


def is_numpy(path: Path) -> bool:
    """Whether the file begins like .npy, or like the zip file that .npz is."""
    with path.open("rb") as stream:
        return stream.read(6).startswith((b"\x93NUMPY", b"PK\x03\x04"))


def array_headers(path: Path) -> dict[str, Header]:
    """Shape and dtype of every array in the file by name (the array of an .npy file is called ``array``).

    Raises:
        InputError: a damaged file, or one that unpacks to far more than it holds.
    """
    require_file(path)
    with _readable(path):
        if not _is_zip(path):
            with path.open("rb") as stream:
                header = _header(path, stream)
                _check_size(path, header, path.stat().st_size)
            return {"array": header}
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            headers = {}
            for member in members:
                with archive.open(member) as stream:
                    headers[member.filename.removesuffix(".npy")] = header = _header(path, stream)  # type: ignore[arg-type]
                _check_size(path, header, member.file_size)
            return headers


def read_array(path: Path, name: str = "array") -> np.ndarray:
    """One array of a file, by the name that :func:`array_headers` gives it; pickled objects are never read.

    Raises:
        InputError: as :func:`array_headers`; no such array, or more than the memory holds.
    """
    shape, dtype = array_headers(path)[name]
    check_fits(path, 3 * int(np.prod(shape, dtype=object)) * dtype.itemsize)
    with _readable(path):
        if not _is_zip(path):
            with path.open("rb") as stream:
                return np.lib.format.read_array(stream, allow_pickle=False)
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """numpy's errors on a damaged file, or on pickled objects, as one line."""
    try:
        yield
    except _ERRORS as error:
        raise InputError(f"{path}: not a readable .npy or .npz file ({' '.join(str(error).split())[:200]})") from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def _members(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The arrays of an .npz file, none of which may share its bytes with another."""
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if len(members) > _MOST_ARRAYS:
        raise InputError(f"{path}: holds {len(members)} arrays; at most {_MOST_ARRAYS} are read")
    size = path.stat().st_size
    if sum(member.compress_size for member in members) > size:
        raise InputError(f"{path}: its arrays overlap in the file; it is damaged or made to fill the memory")
    check_unpacked(path, sum(member.file_size for member in members), size)
    return members


def _header(path: Path, stream: BinaryIO) -> Header:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise InputError(
            f"{path}: not a readable .npy or .npz file: it holds pickled Python objects, which can run code"
        )
    return tuple(int(length) for length in shape), dtype


def _check_size(path: Path, header: Header, size: int) -> None:
    """Refuse an array that is shorter than its header says."""
    shape, dtype = header
    stated = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if stated > size:
        raise InputError(
            f"{path}: not a readable .npy or .npz file: truncated, it says {stated} bytes of values and holds {size}"
        )
