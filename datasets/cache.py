"""Arrays that were computed once and are read from the disk ever after: preprocessed volumes, latents, simulated scans.

One item is a ``.npy`` file, mapped into memory when it is used, and a JSON file with what else is known of it (spacing,
scale, …), of how it was made, and the hash of both. An item whose bytes do not have their hash is made again. Several
processes may share a cache: each item is made by one of them while the others wait, and it appears in one step, so that
a process killed in the middle leaves nothing that another would take for it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.case import Case
from datasets.identity import file_sha256, quick_identity
from datasets.whole_file import remove_partial, whole_file

Settings = Mapping[str, Any]
Made = tuple[np.ndarray, Mapping[str, Any]]

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


@dataclass(frozen=True)
class Entry:
    """An item.

    Attributes:
        array: the array, mapped from the disk, read-only.
        details: what else is known of it, as plain JSON values.
        sha256: the hash of array and details.
    """

    array: np.memmap
    details: dict[str, Any]
    sha256: str


def item_key(source: Case | Path | str, preprocessing: str, settings: Settings) -> str:
    """The name of an item: a hash of the source's identity, the preprocessing's name and its settings.

    Args:
        source: the identity of the file, as :func:`datasets.identity.quick_identity` tells it; a file that is replaced
            gets another key.
        preprocessing: what was done, with its version; change it when the code's result changes.
        settings: all that the result depends on, as JSON values.

    Raises:
        TypeError: a setting is no JSON value.
    """
    facts = {"source": quick_identity(source), "preprocessing": preprocessing, "settings": settings}
    return hashlib.sha256(_json(facts).encode("utf-8")).hexdigest()[:40]


@dataclass(frozen=True)
class Cache:
    """A folder of items. It may be deleted at any time that no process uses it; nothing in it is irreplaceable."""

    folder: Path

    def array(self, key: str, make: Callable[[], np.ndarray]) -> np.memmap:
        """The array of a key, made now if it is not there; see :func:`item_key`."""
        return self._item(key, lambda: (make(), {}), {}).array

    def entry(
        self, source: Case | Path | str, preprocessing: str, settings: Settings, make: Callable[[], Made]
    ) -> Entry:
        """The array and details that ``make`` returns for these facts, made now if they are not there.

        Args:
            source, preprocessing, settings: the arguments of :func:`item_key`.
            make: returns the array (not of objects) and its details as JSON values. What it raises is passed on,
                and nothing is kept.

        Raises:
            FileNotFoundError: the source does not exist.
            OSError: the cache cannot be written (no space left, say).
        """
        facts = {"preprocessing": preprocessing, "settings": settings, "source": _name(source)}
        return self._item(item_key(source, preprocessing, settings), make, facts)

    def _item(self, key: str, make: Callable[[], Made], facts: Settings) -> Entry:
        path = self.folder / key[:2] / f"{key}.npy"
        found = _load(path)
        if found is not None:
            return found
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            found = _load(path)  # another process may have made it while this one waited
            if found is not None:
                return found
            remove_partial(path)
            remove_partial(path.with_suffix(".json"))
            array, details = make()
            _store(path, array, {"details": details, **facts})
        made = _load(path)
        if made is None:
            raise OSError(f"{path}: the file system lost what was just written to it")
        return made


def _load(path: Path) -> Entry | None:
    """The item, or None if it is not there or the disk has damaged it (it is made again then).

    The whole file is read before it is mapped: a mapped file that is too short would end the process later.
    """
    try:
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        details, sha256 = record["details"], record["sha256"]
        if sha256 != _sha256(path, details):
            return None
        return Entry(np.load(path, mmap_mode="r", allow_pickle=False), details, sha256)
    except (FileNotFoundError, ValueError, TypeError, EOFError, KeyError, RecursionError):
        return None


def _sha256(path: Path, details: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{file_sha256(path)}\n{_json(details)}".encode()).hexdigest()


def _store(path: Path, array: np.ndarray, record: Mapping[str, Any]) -> None:
    """The JSON first: the ``.npy`` file, by which an item is known to be complete, comes last."""
    with whole_file(path) as temporary:
        with temporary.open("wb") as stream:
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
        facts = {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": _sha256(temporary, record["details"])}
        with whole_file(path.with_suffix(".json")) as beside:
            beside.write_text(_json({**record, **facts}), encoding="utf-8")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system takes back when the process ends, however it ends.

    On a file system without locks several processes may make the same item; the last one's then stays.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _name(source: Case | Path | str) -> str:
    return source.id if isinstance(source, Case) else str(source)
