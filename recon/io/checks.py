"""What every reader checks before it hands data on: the file, its size in memory, its values."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.errors import InputError
from recon.io.intensity import AIR_HU, NaNs

if TYPE_CHECKING:
    from recon.scan.volume import Modality

LARGEST_RATIO = 200
"""Of the bytes that a file unpacks to and those that it has. Scans reach 2 to 20; zeros reach 1000 (deflate's most)."""

SMALL = 1 << 28
"""Bytes up to which data may unpack from however little: an empty volume may be mostly zeros."""


_SCALES = (1e-15, 1e15)
"""Largest magnitudes that data have in any unit in use; beyond, sums of squares leave single precision."""


def require_file(path: Path) -> None:
    """:class:`InputError` unless ``path`` is a readable file that is not empty."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: a folder, not a file")
        if not path.exists():
            raise InputError(f"{path}: no such file")
    except OSError as error:  # a name that no file can have
        raise InputError(f"{str(path)[:80]}: no such file ({error.strerror})") from error
    if not path.is_file():
        raise InputError(f"{path}: a pipe or device; save it as a file first")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")


def check_values(path: Path, array: np.ndarray, what: str) -> None:
    """:class:`InputError` if ``array`` holds NaN or infinity, one and the same value everywhere, or values of a scale
    whose squares single precision cannot hold."""
    magnitude = np.abs(array)
    low, high = magnitude.min(), magnitude.max()  # NaN and infinity show in one of the two
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise InputError(f"{path}: {wrong} of {array.size} values of the {what} are NaN or infinite")
    if low == high and np.ptp(array.real) == 0 and np.ptp(array.imag) == 0:
        raise InputError(f"{path}: the {what} is constant (every value is {array.flat[0]:g}): there is nothing in it")
    if not _SCALES[0] <= high <= _SCALES[1]:
        raise InputError(
            f"{path}: the largest value of the {what} is {high:.2g}, too {'small' if high < 1 else 'large'} to compute "
            "with; scale the data, so that it is about 1"
        )


def without_nan(
    path: Path, array: np.ndarray, modality: Modality | None, nan: NaNs
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The array with NaN as background, if that was asked for; and what was done, for the user.

    Raises:
        InputError: NaN, and nothing was asked for.
    """
    missing = np.isnan(array)
    count = int(np.count_nonzero(missing))
    if not count or modality is None:
        return array, ()
    if nan == "refuse":
        raise InputError(
            f"{path}: {count} of {array.size} voxels are NaN; is that the background? "
            "then give `nan` air to take them as air"
        )
    value = AIR_HU if modality == "CT" else 0.0
    words = f"air ({value:g} HU)" if modality == "CT" else "0"
    return np.where(missing, np.float32(value), array), (f"{count} voxels that are NaN were taken as {words}",)


def check_fits(path: Path, needed: int) -> None:
    """:class:`InputError` if ``needed`` bytes are more than the memory that can be had."""
    memory = available_memory()
    if needed > memory:
        raise InputError(f"{path}: needs {needed / 2**30:.1f} GiB of memory to read, {memory / 2**30:.1f} GiB are free")


def check_unpacked(path: Path, unpacked: int, packed: int) -> None:
    """:class:`InputError` if a few bytes unpack to very many: no scan compresses so well."""
    if unpacked > SMALL and unpacked > LARGEST_RATIO * packed:
        raise InputError(
            f"{path}: {packed / 2**20:.1f} MiB that unpack to {unpacked / 2**30:.1f} GiB are no scan; "
            "the file is damaged or made to fill the memory"
        )


def available_memory() -> int:
    """Memory in bytes that this process can have without swapping, within the limit on its address space."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return free if limit == resource.RLIM_INFINITY else min(free, limit - psutil.Process().memory_info().vms)
