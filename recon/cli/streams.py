"""Standard streams that the caller has closed, as ``recon ... 2>&-`` does."""

from __future__ import annotations

import os
import sys


def open_streams() -> None:
    """Open closed standard streams to nowhere.

    Without this, the next file that is opened would get the number of the closed stream, and a message that a library
    writes to standard error would end up in that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
