"""Temporary folders beside an output: private and locked while their run lives, swept once it is dead."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = re.compile(r"\.recon-[0-9a-f]{16}\.partial(\.\w+){0,2}(?<!\.old)")
"""Names that only this suite gives. What ends in ``.old`` may be the one copy of an earlier output and stays."""


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """A new folder in ``parent`` that nobody but its owner can read, and that is gone when the block ends.

    What killed runs left in ``parent`` is deleted first.
    """
    sweep(parent)
    folder, lock = _locked_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # after an exchange this is the old output
        if lock is not None:
            os.close(lock)


def sweep(parent: Path) -> None:
    """Delete the temporary folders and files in ``parent`` whose process has ended: nobody holds their lock."""
    for entry in list(os.scandir(parent)):
        if _NAME.fullmatch(entry.name):
            with suppress(OSError):  # another user's, or a file system without locks: it stays
                _remove_if_dead(Path(entry.path))


def _remove_if_dead(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _locked_folder(parent: Path) -> tuple[Path, int | None]:
    """A new folder and the descriptor that holds its lock; None on a file system without locks.

    Between the two steps a sweeping process may take the folder for a dead one; then another is made.
    """
    while True:
        folder = parent / f".recon-{secrets.token_hex(8)}.partial"
        folder.mkdir(mode=0o700)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists():
                return folder, descriptor
        except BlockingIOError:
            pass
        except OSError:
            os.close(descriptor)
            return folder, None
        os.close(descriptor)
