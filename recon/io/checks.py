"""What every reader checks before it hands data on: the file, its values, and whether they fit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from recon.errors import InputError


def require_file(path: Path) -> None:
    """:class:`InputError` unless ``path`` is a readable file that is not empty."""
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: a pipe or device; save it as a file first")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")


def check_values(path: Path, array: np.ndarray, what: str) -> None:
    """:class:`InputError` if ``array`` holds NaN or infinity, or one and the same value everywhere."""
    magnitude = np.abs(array)
    low, high = magnitude.min(), magnitude.max()  # NaN and infinity show in one of the two
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise InputError(f"{path}: {wrong} of {array.size} values of the {what} are NaN or infinite")
    if low == high and np.ptp(array.real) == 0 and np.ptp(array.imag) == 0:
        raise InputError(f"{path}: the {what} is constant (every value is {array.flat[0]:g}): there is nothing in it")


def check_fits(path: Path, needed: int) -> None:
    """:class:`InputError` if ``needed`` bytes are more than this machine's memory."""
    memory = physical_memory()
    if needed > memory:
        raise InputError(
            f"{path}: needs {needed / 2**30:.1f} GiB of memory to read, this machine has {memory / 2**30:.1f} GiB"
        )


def physical_memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
