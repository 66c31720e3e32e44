"""DICOM files opened with care: known by their content, bounded before they are inflated, one line for a damaged one.

Part 10 files should begin with a preamble and a meta header. Files of old archives and of some exporters lack one or
both; they are read where their first bytes are those of a data set.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

NO_UID = "without-uid"
"""Stands for the SeriesInstanceUID of files that have none."""

_DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error, zlib.error),
    *(RecursionError, MemoryError, OverflowError, NotImplementedError),
)
"""What pydicom raises, depending on where a damaged file stops making sense."""

_DEFLATED = "1.2.840.10008.1.2.1.99"
_IMPLICIT, _EXPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_FIRST_GROUPS = (0x0002, 0x0008)
_LAST_ELEMENT = 0x0070  # of the tags with which a data set without meta header begins
_MOST_INFLATED, _PIECE = 1 << 28, 1 << 20
_LARGEST_RATIO = 200


def is_dicom(path: Path) -> bool:
    """Whether the file begins like DICOM, with a preamble or without; pipes and devices are not opened."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError:  # a dangling link, a file that may not be read
        return False
    return start[128:] == b"DICM" or _begins_a_data_set(start, path.stat().st_size)


def read_dicom(path: Path, *, pixels: bool = False, tags: list[str] | None = None) -> Any:
    """The data set of a DICOM file, its values decoded; where the meta header is missing, it states how it was read.

    Args:
        path: a file for which :func:`is_dicom` holds.
        pixels: whether the pixels are read too.
        tags: keywords of the elements to read; None for all.

    Raises:
        ValueError: a damaged file, or one that inflates to far more than it holds.
    """
    from pydicom import dcmread
    from pydicom.errors import BytesLengthException, InvalidDicomError
    from pydicom.uid import UID

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begun = _has_preamble(path)
            if begun:
                _check_inflated(path)
            dataset = dcmread(path, stop_before_pixels=not pixels, specific_tags=tags, force=not begun)
            list(dataset)  # pydicom decodes values when they are looked at: do it here, where damage is expected
            if "TransferSyntaxUID" not in dataset.file_meta:
                implicit, little = dataset.original_encoding
                dataset.file_meta.TransferSyntaxUID = UID(_IMPLICIT if implicit else _EXPLICIT if little else _BIG)
            return dataset
    except (*_DAMAGED, BytesLengthException, InvalidDicomError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ValueError(f"{path}: damaged DICOM file ({reason[:200]})") from error


def series_uid(header: Any) -> str:
    """The SeriesInstanceUID, or :data:`NO_UID`; several values, which it must not have, as the file writes them."""
    uid = header.get("SeriesInstanceUID") or NO_UID
    return uid if isinstance(uid, str) else "\\".join(map(str, uid))


def _begins_a_data_set(start: bytes, size: int) -> bool:
    """Whether bytes are the first element of a data set in one of the plain encodings."""
    if len(start) < 12:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", start[:4])
        if group not in _FIRST_GROUPS or element > _LAST_ELEMENT:
            continue
        if start[4:6].isalpha() and start[4:6].isupper():
            return True
        if order == "<" and struct.unpack("<I", start[4:8])[0] < min(size, 1024):
            return True
    return False


def _has_preamble(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _check_inflated(path: Path) -> None:
    """Refuse a deflated data set that is a bomb; it is inflated piece by piece and counted, not kept."""
    from pydicom.filereader import read_file_meta_info

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != _DEFLATED:
        return
    most = max(_MOST_INFLATED, _LARGEST_RATIO * path.stat().st_size)
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as stream:
        stream.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        while (piece := stream.read(_PIECE)) and not inflater.eof:
            while piece and not inflater.eof:
                total += len(inflater.decompress(piece, _PIECE))
                piece = inflater.unconsumed_tail
                if total > most:
                    raise ValueError(f"it inflates to more than {most / 2**30:.2g} GiB, which no image does")
