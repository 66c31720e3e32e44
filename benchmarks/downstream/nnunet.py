"""nnU-Net (Isensee et al. 2021) as an external tool: its commands are called, nothing of it is imported."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from recon.errors import InputError, RunError

PLAN, TRAIN, PREDICT = "nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict"
COMMANDS = (PLAN, TRAIN, PREDICT)

INSTALL = "pip install 'meddiffusion-recon[nnunet]'"

UNKNOWN = "unknown"

_ASK_VERSION = "import importlib.metadata; print(importlib.metadata.version('nnunetv2'))"
_SECONDS_TO_END = 10.0


@dataclass(frozen=True)
class NnUNet:
    """The installed tool.

    Attributes:
        commands: the file of each command.
        version: the version of the package; ``UNKNOWN`` where no Python lies beside the commands to say it.
    """

    commands: Mapping[str, Path]
    version: str

    def call(self, command: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> float:
        """Run a command to its end.

        Args:
            command: one of :data:`COMMANDS`.
            arguments: its arguments.
            environment: what is added to the environment of this process.
            log: the file that gets all that the command prints.

        Returns:
            The seconds that it took.

        Raises:
            RunError: it failed; the message has its last line.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [str(self.commands[command]), *arguments],
                stdin=subprocess.DEVNULL,  # it asks questions where splits are missing; an error is better
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,  # its workers end with it
            )
            try:
                code = process.wait()
            except BaseException:
                _end(process)
                raise
        if code != 0:
            raise RunError(f"{command} failed (exit code {code}): {_last_line(log)}; all of its output is in {log}")
        return time.perf_counter() - started


def find_nnunet(folder: Path | None) -> NnUNet:
    """The commands in a folder, or on the PATH.

    Raises:
        InputError: a command is not there; the message says how it is installed.
    """
    where = str(folder) if folder else None
    found = {name: shutil.which(name, path=where) for name in COMMANDS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        place = f"not in {folder}" if folder else "not on the PATH"
        raise InputError(
            f"`nnunet`: nnU-Net's command {missing[0]} is {place}; install it with: {INSTALL}, or name the folder of "
            "its commands"
        )
    commands = {name: Path(path).absolute() for name, path in found.items() if path is not None}
    return NnUNet(commands, _version(commands[TRAIN].parent))


def _version(folder: Path) -> str:
    """What the Python beside the commands says."""
    python = folder / "python"
    if not python.exists():
        return UNKNOWN
    asked = subprocess.run([str(python), "-c", _ASK_VERSION], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else UNKNOWN


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command with all of its workers."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        os.killpg(process.pid, signal.SIGKILL)  # what is left of it
    process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "it printed nothing")
