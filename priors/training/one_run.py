"""One training run at a time in a folder: a lock that the system takes back when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "run.lock"
"""The file in a run's folder that is locked. Its content marks the folder as a run's, also before a checkpoint."""

_MARK = "training run"
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made if it is not there.

    A folder that was made and holds nothing but the lock when the block ends is removed again. On a file system without
    locks the folder is only marked.

    Raises:
        ValueError: another process trains in the folder, or it cannot be written.
    """
    new = not folder.exists()
    descriptor = _locked(folder)
    try:
        if os.fstat(descriptor).st_size == 0:
            os.write(descriptor, f"{_MARK}\n".encode())
        yield
    finally:
        if os.listdir(folder) == [LOCK]:
            (folder / LOCK).unlink()
            if new:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        os.close(descriptor)


def _locked(folder: Path) -> int:
    """The descriptor of the lock, held."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise ValueError(f"{folder}: another process trains in it; wait for it, or name another folder") from error
    return descriptor


def is_run(folder: Path) -> bool:
    """Whether a folder is a training run's: it has checkpoints, or was marked by a run that was killed before."""
    if (folder / "checkpoints").is_dir():
        return True
    try:
        content = (folder / LOCK).read_bytes()[:100]
    except OSError:
        return False
    return not content or content.startswith(_MARK.encode())  # empty where another process has just made it
