"""Outputs that appear whole or not at all.

Work goes to a hidden sibling of the output, is flushed to the disk, and takes the output's name in one step. A
run that is killed leaves the old output or the new one (and perhaps a hidden ``.recon-*.partial`` beside it).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recon.errors import InputError, RunError
from recon.io.rename import exchange, rename_new

MARKER = "result.json"
"""The file by which a folder is known to be an output of this suite."""

OUR_FILES = frozenset(
    {MARKER, "recon.nii.gz", "std.nii.gz", "truth.nii.gz", "baseline.nii.gz", "report.html", "sinogram.h5", "kspace.h5"}
)
OUR_FOLDERS = frozenset({"dicom"})
"""Names that an output folder may hold; a folder with anything else is never replaced."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXT = re.compile(r"No space left on device|Disk quota exceeded|File too large", re.IGNORECASE)


def check_output(path: Path, overwrite: bool, *, folder: bool = True) -> None:
    """Refuse, before any work, an output that could not be written in the end.

    Args:
        path: the output folder, or the output file if ``folder`` is False.
        overwrite: whether an existing output of the same kind may be replaced.

    Raises:
        InputError: it exists and ``overwrite`` is False; it is the other kind; it is a folder that holds files
            which the suite did not write; its parent is no folder or not writable.
    """
    _check_target(path, _real(path), overwrite, folder)
    parent = _nearest_existing(_real(path).parent)
    if not parent.is_dir():
        raise InputError(f"{path}: {parent} is a file, not a folder; choose another output")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {parent}; choose another output")


@contextmanager
def output_folder(path: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends well, and vanishes when it does not.

    Missing parents are made (and removed again on failure).

    Raises:
        InputError: as :func:`check_output`.
        RunError: no space left.
    """
    check_output(path, overwrite, folder=True)
    target = _real(path)
    with _failures_explained(path), _parents(target.parent):
        temporary = target.parent / f".recon-{secrets.token_hex(8)}.partial"
        temporary.mkdir()
        try:
            yield temporary
            _sync_tree(temporary)
            _check_target(path, target, overwrite, True)  # it may have come or changed while we worked
            _publish(path, temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # after an exchange this is the old output


@contextmanager
def output_file(path: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary file name, with ``path``'s suffixes, whose file becomes ``path`` when the block ends well.

    Raises as :func:`output_folder`.
    """
    check_output(path, overwrite, folder=False)
    target = _real(path)
    with _failures_explained(path), _parents(target.parent):
        temporary = target.parent / f".recon-{secrets.token_hex(8)}.partial{''.join(target.suffixes[-2:])}"
        try:
            yield temporary
            _sync(temporary)
            _check_target(path, target, overwrite, False)
            _publish(path, temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _real(path: Path) -> Path:
    """The path behind symbolic links: the link stays, what it points to is replaced."""
    return Path(os.path.realpath(path))


def _check_target(path: Path, target: Path, overwrite: bool, folder: bool) -> None:
    if not os.path.lexists(target):
        return
    if target.is_dir() != folder:
        kinds = ("a folder", "a file") if folder else ("a file", "a folder")
        raise InputError(f"{path}: the output is {kinds[0]}, but {kinds[1]} of that name exists; choose another name")
    if not overwrite:
        raise InputError(f"{path}: exists already; choose another name, or give `overwrite` to replace it")
    if folder:
        _check_ours(path, target)


def _check_ours(path: Path, target: Path) -> None:
    """Refuse to replace a folder that is not wholly an earlier output of this suite (an empty one may go)."""
    names = {entry.name for entry in os.scandir(target)}
    if names and MARKER not in names:
        raise InputError(f"{path}: `overwrite` replaces only outputs of this suite, and there is no {MARKER} in it")
    foreign = sorted(_foreign_entries(target))
    if foreign:
        raise InputError(
            f"{path}: `overwrite` would delete {foreign[0]}, which this suite did not write; "
            "move it or choose another name"
        )


def _foreign_entries(target: Path) -> Iterator[str]:
    for entry in os.scandir(target):
        if entry.is_dir(follow_symlinks=False) and entry.name in OUR_FOLDERS:
            yield from (f"{entry.name}/{name}" for name in os.listdir(entry) if not name.endswith(".dcm"))
        elif not (entry.is_file(follow_symlinks=False) and entry.name in OUR_FILES):
            yield entry.name


def _nearest_existing(folder: Path) -> Path:
    return next(candidate for candidate in (folder, *folder.parents) if os.path.lexists(candidate))


@contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """Make ``folder``; if the block fails, remove again what was made, as far as it is still empty."""
    made = [candidate for candidate in (folder, *folder.parents) if not candidate.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for candidate in made:
            try:
                candidate.rmdir()
            except OSError:  # someone else put something there meanwhile: it is theirs now
                break
        raise


@contextmanager
def _failures_explained(path: Path) -> Iterator[None]:
    """A full disk as one line. HDF5 reports it as a ``RuntimeError`` or without ``errno``, hence the text."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) in _FULL or _FULL_TEXT.search(str(error)):
            raise RunError(f"{path}: no space left to write the output; nothing was written") from error
        raise


def _publish(path: Path, temporary: Path, target: Path) -> None:
    """Give ``temporary`` the name ``target``; what stood there (its replacement was agreed to) changes places."""
    try:
        if os.path.lexists(target):
            exchange(temporary, target)
        else:
            rename_new(temporary, target)
    except FileExistsError as error:
        raise InputError(f"{path}: came into being while the run worked; choose another name") from error
    _sync(target.parent)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            _sync(Path(root, name))
        _sync(Path(root))


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a power cut after the rename finds its content there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
