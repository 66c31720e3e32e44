"""The two renames that POSIX lacks and kernels have: never over an existing name, and a swap of two names.

Linux: renameat2(2). macOS: renamex_np(2). Where the file system knows neither (NFS, some network mounts), the
nearest sequence of plain renames is used instead.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_LINUX_NOREPLACE, _LINUX_EXCHANGE = 1, 2
_MACOS_SWAP, _MACOS_EXCL = 2, 4
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def rename_new(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``; ``FileExistsError`` if there is a ``target`` already."""
    if _kernel_rename(source, target, linux=_LINUX_NOREPLACE, macos=_MACOS_EXCL):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target)


def exchange(first: Path, second: Path) -> None:
    """Swap what two names stand for, in one step where the file system can.

    Without kernel support there are three renames, between the first two of which ``second`` is absent and its
    old content stands beside it under ``first``'s name with ``.old`` appended.
    """
    if _kernel_rename(first, second, linux=_LINUX_EXCHANGE, macos=_MACOS_SWAP):
        return
    aside = first.with_name(first.name + ".old")
    os.rename(second, aside)
    try:
        os.rename(first, second)
    except OSError:
        os.rename(aside, second)
        raise
    os.rename(aside, first)


def _kernel_rename(source: Path, target: Path, *, linux: int, macos: int) -> bool:
    """Whether the kernel did it; ``OSError`` if it refused for a reason of the files, not for want of support."""
    libc = ctypes.CDLL(None, use_errno=True)
    old, new = os.fsencode(source), os.fsencode(target)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        result = libc.renamex_np(old, new, ctypes.c_uint(macos))
    elif sys.platform.startswith("linux") and hasattr(libc, "renameat2"):
        result = libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, ctypes.c_uint(linux))
    else:
        return False
    code = ctypes.get_errno()
    if result == 0:
        return True
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(target))
