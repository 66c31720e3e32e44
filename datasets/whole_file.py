"""Files that appear whole or not at all, however the process ends."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""Last suffix of a file that is being written; what is left of a killed process may be deleted."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A hidden sibling to write to, which becomes ``path`` in one step when the block ends well.

    It is flushed to the disk before, so that a power cut leaves the old file or the new one. A file of that name is
    replaced; whoever has it open or mapped keeps the old content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_partial(path: Path) -> None:
    """Delete what killed processes left of attempts to write ``path``; nobody else may be writing it."""
    for left in path.parent.glob(f".{path.name}.*{PARTIAL}"):
        left.unlink(missing_ok=True)
