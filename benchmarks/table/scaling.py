"""How the Dask path scales, and whether it loses cells when workers are killed; on a cluster of this machine.

    python -m benchmarks.table.scaling --cells 200 --seconds 0.2 --kills 5

The cells go through the executor that tables use. They sleep and write a small file, so that the figures tell what
scheduling costs, and not how many cores this machine has. Efficiency is the time with one worker over the time with
several, times their number; workers have loaded the suite before the clock starts. Needs the extra ``dask``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.table.cells import Job
from benchmarks.table.dask_execute import dask_executor
from benchmarks.table.spec import MethodSpec, OperatorSpec
from datasets.case import Case
from recon.errors import InputError

WAIT = "seconds"
"""The setting of a sleeping cell."""

_FILE = Path(__file__)
_RUNS = "runs.txt"
_START_SECONDS = 300
"""How long a worker may take to start before it is given up; on a busy machine a local cluster's 15 s do not do."""


@dataclass(frozen=True)
class Timing:
    """A run of the cells.

    Attributes:
        workers: the number of workers.
        cells: the number of cells.
        kept: the number of results that are there in the end.
        reported: the number of cells that were reported as finished.
        computed: how often a cell was computed to its end: more often than there are cells where work was lost.
        killed: the number of workers that were killed.
        seconds: the duration of the run.
    """

    workers: int
    cells: int
    kept: int
    reported: int
    computed: int
    killed: int
    seconds: float


def sleep_cell(job: Job) -> str:
    """A cell that takes its time, and leaves a file under its key."""
    time.sleep(float(job.method.settings[WAIT]))
    path = job.store / f"{job.key}.json"
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    temporary.write_text(json.dumps({"key": job.key}), encoding="utf-8")
    temporary.replace(path)
    with (job.store / _RUNS).open("a", encoding="ascii") as runs:
        runs.write(f"{job.key}\n")
    return ""


def timed(workers: int, cells: int, seconds: float, kills: int, store: Path) -> Timing:
    """Run sleeping cells on a cluster of so many processes.

    Args:
        workers: the number of workers, each of one thread.
        cells: the number of cells.
        seconds: how long a cell sleeps.
        kills: the number of workers that are killed on the way, evenly over the cells.
        store: an empty folder for the results.
    """
    marks = {(k + 1) * cells // (kills + 1) for k in range(kills)}
    reported: list[str] = []
    killed: list[int] = []
    with _cluster(workers) as cluster:
        execute = dask_executor(cluster.scheduler_address, sleep_cell)
        execute(_jobs(4 * workers, 0.05, store, "warm"), lambda job, reason: None)

        def on_done(job: Job, reason: str) -> None:
            reported.append(job.key)
            if len(reported) in marks:
                killed.append(_kill_one(cluster))

        started = time.perf_counter()
        execute(_jobs(cells, seconds, store, "cell"), on_done)
        took = time.perf_counter() - started
    kept = len(list(store.glob("cell-*.json")))
    computed = sum(line.startswith("cell") for line in (store / _RUNS).read_text(encoding="ascii").splitlines())
    return Timing(workers, cells, kept, len(set(reported)), computed, len(killed), took)


def _jobs(count: int, seconds: float, store: Path, name: str) -> list[Job]:
    case = Case("sleep", "sleep", "CT", "volume", _FILE, "test")
    method = MethodSpec(method="fbp", label="", settings={WAIT: str(seconds)})
    operator = OperatorSpec(name="none", geometry="paper40")
    return [Job(case, "CT", operator, method, f"{name}-{k:04}", store) for k in range(count)]


@contextmanager
def _cluster(workers: int) -> Iterator[Any]:
    os.environ.setdefault("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", f"{_START_SECONDS}s")  # read at the import
    try:
        from distributed import LocalCluster, default_client
    except ImportError:
        raise InputError("Dask is not installed; pip install 'meddiffusion-recon[dask]'") from None
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as cluster:
        yield cluster
        default_client().close()  # the executor's, which would look for the cluster afterwards


def _kill_one(cluster: Any) -> int:
    """Kill the process of a worker that has joined, as a machine that is switched off; its nanny starts another.

    One that is only starting is left alone: its nanny would give up.
    """
    while True:
        joined = set(cluster.scheduler.workers)
        pid = next(
            (nanny.pid for nanny in cluster.workers.values() if nanny.pid and nanny.worker_address in joined), None
        )
        if pid:
            os.kill(pid, signal.SIGKILL)
            return int(pid)
        time.sleep(0.1)


def main(arguments: list[str] | None = None) -> None:
    """Print the time with one worker and with two, the efficiency, and a run with workers killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.2, help="how long a cell sleeps")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5, help="workers that are killed in the last run")
    wanted = parser.parse_args(arguments)
    timings = []
    for workers, kills in ((1, 0), (wanted.workers, 0), (wanted.workers, wanted.kills)):
        with tempfile.TemporaryDirectory() as folder:
            timings.append(timed(workers, wanted.cells, wanted.seconds, kills, Path(folder)))
        each = timings[-1]
        print(
            f"{each.workers} workers, {each.killed} killed: {each.kept} of {each.cells} results, "
            f"{each.computed} computed, {each.seconds:.1f} s",
            flush=True,
        )
    print(f"efficiency {timings[0].seconds / (wanted.workers * timings[1].seconds):.2f} of linear")


if __name__ == "__main__":
    main()
