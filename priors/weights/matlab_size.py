"""How much a MATLAB file unpacks to: its compressed elements are inflated piece by piece and counted, not kept."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

_COMPRESSED = 15
_PIECE = 1 << 20
_SMALL = 1 << 28
_RATIO = 200


def check_inflated(path: Path) -> None:
    """Refuse a file of MATLAB's format 5 that unpacks to far more than its numbers could be packed to.

    Raises:
        ValueError: it does, or it is damaged.
    """
    most = max(_SMALL, _RATIO * path.stat().st_size)
    with path.open("rb") as stream:
        order = "<" if stream.read(128)[126:128] == b"IM" else ">"
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind >> 16:  # a small element: its data lie within the tag
                continue
            if kind == _COMPRESSED:
                most -= _inflated(path, stream, size, most)
            else:
                stream.seek(size, 1)


def _inflated(path: Path, stream: BinaryIO, size: int, most: int) -> int:
    """Bytes that an element of ``size`` bytes unpacks to, at most ``most``."""
    inflater, total = zlib.decompressobj(), 0
    while size > 0 and (piece := stream.read(min(size, _PIECE))):
        size -= len(piece)
        while piece and not inflater.eof:
            try:
                total += len(inflater.decompress(piece, _PIECE))
            except zlib.error as error:
                raise ValueError(f"{path}: damaged, or no MATLAB file") from error
            piece = inflater.unconsumed_tail
            if total > most:
                raise ValueError(f"{path}: unpacks to more than {most / 2**30:.1f} GiB; no array packs so well")
    return total
