"""Checkpoints of a training run: written atomically, the last few and the best kept, read without running code.

A checkpoint holds the hash of its own content, which is compared when it is read: torch does not look at the checksums
of its container, and a byte that a disk has flipped would train other weights without a word.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SHA256 = "sha256"
_NAME = "step-{:08d}.ckpt"
_PATTERN = re.compile(r"step-(\d{8})\.ckpt")


class Checkpoints:
    """The checkpoint folder of a run.

    Args:
        folder: made on the first save.
        keep: newest checkpoints that stay beside ``best.ckpt``.
    """

    def __init__(self, folder: Path, keep: int):
        self._folder, self._keep = folder, keep

    def sweep(self) -> None:
        """Remove what killed runs left half written; no other run may be writing here."""
        for left in self._folder.glob(".*.ckpt.*.partial"):
            left.unlink(missing_ok=True)

    def save(self, state: dict[str, Any], step: int) -> Path:
        """Write the state after ``step`` steps, then remove what is older than the last few.

        Raises:
            ValueError: it cannot be written, such as for want of space; older checkpoints are untouched.
        """
        path = self._folder / _NAME.format(step)
        self._write(state, path)
        for old in self.paths()[: -self._keep]:
            old.unlink()
        return path

    def save_best(self, state: dict[str, Any]) -> Path:
        """Write ``best.ckpt``."""
        path = self._folder / "best.ckpt"
        self._write(state, path)
        return path

    def paths(self) -> list[Path]:
        """Checkpoints by step, oldest first."""
        return sorted(path for path in self._folder.glob("step-*.ckpt") if _PATTERN.fullmatch(path.name))

    def load_latest(self) -> dict[str, Any] | None:
        """The newest checkpoint's state on the CPU; None where there is none.

        Raises:
            ValueError: it is damaged.
        """
        paths = self.paths()
        return read_checkpoint(paths[-1]) if paths else None

    def _write(self, state: dict[str, Any], path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(state | {_SHA256: _state_sha256(state)}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except (OSError, RuntimeError) as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise ValueError(f"{path}: cannot write the checkpoint: {' '.join(str(error).split())}") from error
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's state on the CPU; tensors and plain values only, no code.

    Raises:
        ValueError: missing, damaged, changed since it was written, or not a checkpoint of ours.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
        raise ValueError(f"{path}: cannot be read as a checkpoint; remove it to go on from the one before") from error
    if not isinstance(state, dict) or "step" not in state or "learner" not in state:
        raise ValueError(f"{path}: not a checkpoint of a training run")
    if state.pop(_SHA256, None) != _state_sha256(state):
        raise ValueError(
            f"{path}: its content is not what was written (the hash does not fit); remove it to go on from the one "
            "before"
        )
    return state


def _state_sha256(state: Mapping[str, Any]) -> str:
    """Hash of all tensors and plain values of a state, with the places where they stand."""
    digest = hashlib.sha256()
    for place, value in _leaves(state, ()):
        if isinstance(value, Tensor):
            digest.update(f"{json.dumps(place)} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(f"{json.dumps(place)} {value!r}\n".encode())
    return digest.hexdigest()


def _leaves(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything that is no mapping and no list, in the order in which it stands."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*place, str(key)))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*place, str(number)))
    else:
        yield place, value
