"""The jobs of a server: a bounded queue, one process at a time, results in a private folder for a while."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recon.errors import RunError
from recon.serve.limits import Limits
from recon.serve.order import RESULT, Order

State = Literal["receiving", "waiting", "running", "done", "failed"]

_ENDED = ("done", "failed")


class QueueFullError(RunError):
    """So many jobs wait already as the server takes."""


@dataclass
class Job:
    """A job and how far it is.

    Attributes:
        id: its random name.
        folder: the private folder with the upload and the result.
        state: how far it is.
        order: what is asked for; None while the upload arrives.
        progress: the stage that runs, its steps that are done, and how many there are.
        error: the reason of a failure, in one line.
        ended: the time of the monotonic clock when it ended.
    """

    id: str
    folder: Path
    state: State = "receiving"
    order: Order | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    ended: float = 0.0

    @property
    def result(self) -> Path:
        """The folder with the result."""
        return self.folder / RESULT


class Jobs:
    """A queue with one worker; every method may be called from any thread.

    Args:
        folder: an existing folder for uploads and results; it becomes its owner's alone.
        limits: the server's bounds.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        os.chmod(folder, 0o700)
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._running: Job | None = None
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="recon-jobs", daemon=True)
        self._worker.start()

    @contextmanager
    def receive(self) -> Iterator[Job]:
        """A job whose upload arrives inside the block; it goes unless it was submitted there.

        Raises:
            QueueFullError: no more can wait.
        """
        with self._changed:
            self._forget_old()
            if self._closed or sum(job.state in ("receiving", "waiting") for job in self._jobs.values()) >= max(
                1, self.limits.waiting
            ):
                raise QueueFullError(f"{self.limits.waiting} jobs wait already; try again later")
            job = Job(secrets.token_hex(8), self.folder / secrets.token_hex(16))
            job.folder.mkdir(mode=0o700)
            self._jobs[job.id] = job
        try:
            yield job
        finally:
            if job.state == "receiving":
                self.delete(job.id)

    def submit(self, job: Job, order: Order) -> None:
        """Put a job whose upload has arrived into the queue.

        Raises:
            InputError: an order that cannot be.
        """
        order.check()
        order.write(job.folder)
        with self._changed:
            job.order, job.state = order, "waiting"
            self._changed.notify_all()

    def list(self) -> list[Job]:
        """All jobs, oldest first."""
        with self._changed:
            self._forget_old()
            return list(self._jobs.values())

    def find(self, name: str) -> Job | None:
        """A job by its name."""
        return next((job for job in self.list() if secrets.compare_digest(job.id.encode(), name.encode())), None)

    def place(self, job: Job) -> int:
        """How many jobs are before a waiting one."""
        with self._changed:
            waiting = [each.id for each in self._jobs.values() if each.state in ("running", "waiting")]
            return waiting.index(job.id) if job.id in waiting else 0

    def wait(self, job: Job, stop: threading.Event | None = None) -> None:
        """Wait until a job has ended, was deleted, or the server stops."""
        with self._changed:
            while (
                job.state not in _ENDED and job.id in self._jobs and not self._closed and not (stop and stop.is_set())
            ):
                self._changed.wait(0.5)

    def delete(self, name: str) -> bool:
        """End a job, whatever it does, and delete its files; whether there was one."""
        with self._changed:
            job = self._jobs.pop(name, None)
            if job is None:
                return False
            if self._running is job:
                self._kill()
            self._changed.notify_all()
        shutil.rmtree(job.folder, ignore_errors=True)
        return True

    def close(self) -> None:
        """End the running job, refuse new ones, and delete all files."""
        with self._changed:
            self._closed = True
            self._kill()
            self._changed.notify_all()
        self._worker.join(timeout=10)
        for job in list(self._jobs):
            self.delete(job)

    def _forget_old(self) -> None:
        """Delete the results that were kept long enough."""
        ended = [job for job in self._jobs.values() if job.state in _ENDED]
        now = time.monotonic()
        surplus = ended[: max(0, len(ended) - self.limits.kept)]
        for job in [*surplus, *(job for job in ended if now - job.ended > self.limits.keeping)]:
            self._jobs.pop(job.id, None)
            shutil.rmtree(job.folder, ignore_errors=True)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and self._next() is None:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._next()
                assert job is not None
                job.state, self._running = "running", job
                self._process = process = _start(job.folder)
            error = self._follow(job, process)
            with self._changed:
                self._process = self._running = None
                job.state, job.error, job.ended = "failed" if error else "done", error, time.monotonic()
                self._changed.notify_all()
            if job.id not in self._jobs:  # deleted meanwhile: what the process wrote last goes too
                shutil.rmtree(job.folder, ignore_errors=True)

    def _next(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.state == "waiting"), None)

    def _follow(self, job: Job, process: subprocess.Popen[str]) -> str:
        """Read a process's progress until it ends; why it failed, or ""."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._kill_process(process)

        timer = threading.Timer(self.limits.seconds, end)
        timer.daemon = True
        timer.start()
        error = ""
        assert process.stdout is not None
        for line in process.stdout:
            values = _parsed(line)
            error = str(values.get("error", error))
            if "stage" in values:
                job.progress = values
        code = process.wait()
        timer.cancel()
        if late.is_set():
            return f"took longer than the {self.limits.seconds:g} s that a job may take"
        return error or ("" if code == 0 else "the process ended early; perhaps the memory did not suffice")

    def _kill(self) -> None:
        if self._process is not None:
            self._kill_process(self._process)

    @staticmethod
    def _kill_process(process: subprocess.Popen[str]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "recon.serve.work", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        umask=0o077,
        start_new_session=True,  # Ctrl-C is the server's business
    )


def _parsed(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:  # what a library printed
        return {}
    return values if isinstance(values, dict) else {}
