"""Projections in TIFF: one picture a view, as one file of many pages or as a folder of files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recon.errors import InputError
from recon.io.checks import check_fits, check_unpacked, require_file
from recon.io.projections.stored import Stored, ceiling_of

_SUFFIXES = (".tif", ".tiff")
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_FILES = 50_000


def is_tiff(path: Path) -> bool:
    """Whether the file begins like TIFF or BigTIFF."""
    with path.open("rb") as stream:
        return stream.read(4) in _MAGIC


def tiff_files(folder: Path) -> list[Path]:
    """The TIFF files of a folder in the natural order of their names; :class:`InputError` if there is none."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES]
    if not found:
        raise InputError(f"{folder}: a folder without TIFF files; give the file that holds the projections")
    if len(found) > _MOST_FILES:
        raise InputError(f"{folder}: {len(found)} TIFF files; at most {_MOST_FILES} are read")
    return natural_order(found)


def natural_order(paths: list[Path]) -> list[Path]:
    """Paths sorted with the numbers in their names as numbers, so that view_10 follows view_9."""
    return sorted(paths, key=lambda path: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", path.name)])


def read_tiffs(paths: list[Path]) -> Stored:
    """Pages of TIFF files as one array: (cells of a row …) of a single page, else (pages, rows, columns).

    Raises:
        InputError: a damaged file, colours, pages of different sizes, or more than the memory holds.
    """
    pages = [page for path in paths for page in _pages(path)]
    shapes = {page.shape for page in pages}
    if len(shapes) > 1:
        raise InputError(f"{paths[0]}: pictures of different sizes ({', '.join(map(str, sorted(shapes)[:3]))})")
    if pages[0].ndim != 2 or pages[0].dtype.kind not in "biuf":
        raise InputError(f"{paths[0]}: pictures of {pages[0].dtype} {pages[0].shape}; projections are grey")
    data = pages[0] if len(pages) == 1 else np.stack(pages)
    order = ("the files are taken in the natural order of their names",) if len(paths) > 1 else ()
    name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} to {paths[-1].name}"
    return Stored(name, data, ceiling=ceiling_of(data.dtype), notices=order)


def _pages(path: Path) -> list[np.ndarray]:
    import tifffile

    require_file(path)
    try:
        with _complaints() as complaints, tifffile.TiffFile(path) as file:
            pages: list[Any] = list(file.pages)
            size = sum(int(page.nbytes) for page in pages)
            check_fits(path, 3 * size)
            check_unpacked(path, size, path.stat().st_size)
            arrays = [np.asarray(page.asarray()) for page in pages]
    except InputError:
        raise
    except Exception as error:  # a damaged TIFF fails in as many ways as it has tags
        raise InputError(f"{path}: not a readable TIFF file ({' '.join(str(error).split())[:200]})") from error
    if complaints or not arrays:
        why = complaints[0] if complaints else "no page in it"
        raise InputError(f"{path}: a damaged or truncated TIFF file ({' '.join(why.split())[:200]})")
    return arrays


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """The errors that tifffile only logs, such as a page that lies beyond the end of the file."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    logger, collector = logging.getLogger("tifffile"), Collector(logging.ERROR)
    propagate = logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate
