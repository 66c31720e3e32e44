"""Outputs that appear whole or not at all.

Work goes to a hidden sibling of the output, is flushed to the disk, and takes the output's name in one step. A
run that is killed leaves the old output or the new one, and perhaps a hidden ``.recon-*.partial`` beside it, which the
next run there deletes. Outputs hold patients' data: their files can be read by their owner alone.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recon.errors import InputError, RunError
from recon.io.ours import foreign, is_ours
from recon.io.partial import partial_folder
from recon.io.rename import exchange, rename_new

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_TEXT = re.compile(r"No space left on device|Disk quota exceeded|File too large", re.IGNORECASE)


def check_output(path: Path, overwrite: bool, *, folder: bool = True, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work, an output that could not be written in the end.

    Args:
        path: the output folder, or the output file if ``folder`` is False.
        overwrite: whether an existing output of the same kind may be replaced.
        folder: whether the output is a folder.
        inputs: files and folders that the run reads; the output must lie apart from them.

    Raises:
        InputError: it exists and ``overwrite`` is False; it is the other kind; it is, or holds, something that the
            suite did not write; it holds, equals or lies inside an input; its parent is no folder or not writable.
    """
    _check_apart(path, _real(path), inputs)
    _check_target(path, _real(path), overwrite, folder)
    parent = _nearest_existing(_real(path).parent)
    if not parent.is_dir():
        raise InputError(f"{path}: {parent} is a file, not a folder; choose another output")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in {parent}; choose another output")


@contextmanager
def output_folder(path: Path, overwrite: bool, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends well, and vanishes when it does not.

    Missing parents are made (and removed again on failure).

    Raises:
        InputError: as :func:`check_output`.
        RunError: no space left.
    """
    check_output(path, overwrite, folder=True, inputs=inputs)
    target = _real(path)
    with _failures_explained(path), _parents(target.parent), partial_folder(target.parent) as temporary:
        yield temporary
        _finish_tree(temporary)
        _check_target(path, target, overwrite, True)  # it may have come or changed while we worked
        _publish(path, temporary, target)


@contextmanager
def output_file(path: Path, overwrite: bool, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A temporary file name, with ``path``'s suffixes, whose file becomes ``path`` when the block ends well.

    Raises as :func:`output_folder`.
    """
    check_output(path, overwrite, folder=False, inputs=inputs)
    target = _real(path)
    with _failures_explained(path), _parents(target.parent), partial_folder(target.parent) as folder:
        temporary = folder / f"output{''.join(target.suffixes[-2:])}"
        yield temporary
        _finish_tree(folder)
        _check_target(path, target, overwrite, False)
        _publish(path, temporary, target)


def _real(path: Path) -> Path:
    """The path behind symbolic links: the link stays, what it points to is replaced."""
    return Path(os.path.realpath(path))


def _check_apart(path: Path, target: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that holds, equals or lies inside an input: reading and replacing must not meet."""
    for source in inputs:
        real = _real(source)
        if not real.exists():  # a reader will say so
            continue
        if any(_same(target, folder) for folder in (real, *real.parents)):
            relation = "is" if _same(target, real) else "holds"
            raise InputError(f"{path}: the output {relation} the input {source}; choose an output outside it")
        if real.is_dir() and any(_same(real, folder) for folder in target.parents):
            raise InputError(f"{path}: the output lies inside the input {source}; choose an output outside it")


def _same(first: Path, second: Path) -> bool:
    """Whether two real paths are one; on a disk that ignores case, spelling does not tell."""
    return first == second or (first.exists() and second.exists() and first.samefile(second))


def _check_target(path: Path, target: Path, overwrite: bool, folder: bool) -> None:
    if not os.path.lexists(target):
        return
    if target.is_dir() != folder:
        kinds = ("a folder", "a file") if folder else ("a file", "a folder")
        raise InputError(f"{path}: the output is {kinds[0]}, but {kinds[1]} of that name exists; choose another name")
    if not overwrite:
        raise InputError(f"{path}: exists already; choose another name, or give `overwrite` to replace it")
    reason = foreign(target) if folder else None if is_ours(target) else "this file says nothing of the kind"
    if reason:
        raise InputError(
            f"{path}: `overwrite` replaces only what an earlier run of this suite wrote, and {reason}; "
            "move it or choose another name"
        )


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
        if os.path.lexists(target) and temporary.is_dir():
            exchange(temporary, target)
        elif os.path.lexists(target):
            os.replace(temporary, target)
        else:
            rename_new(temporary, target)
    except FileExistsError as error:
        raise InputError(f"{path}: came into being while the run worked; choose another name") from error
    _sync(target.parent)


def _finish_tree(folder: Path) -> None:
    """Make every file and folder its owner's alone, and flush it to the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            os.chmod(Path(root, name), 0o600)
            _sync(Path(root, name))
        os.chmod(root, 0o700)
        _sync(Path(root))


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a power cut after the rename finds its content there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
