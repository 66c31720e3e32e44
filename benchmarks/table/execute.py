"""Run jobs in several processes, with memory in mind; results are in the store as soon as they are computed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing import active_children, get_context, parent_process

import psutil

from benchmarks.table.cells import Job, run_job
from recon.errors import RunError

OnDone = Callable[[Job, str], None]
"""Called with a job and why it has no result, if it has none."""

JOB_BYTES = 4 * 2**30
"""What one job is reckoned to need: a volume of 256 x 256 x 200 with its projector and a network."""


def default_jobs() -> int:
    """Processes at once: one for two cores, as many as the memory allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(cores // 2, int(psutil.virtual_memory().available // JOB_BYTES)))


def run_jobs(jobs: Sequence[Job], processes: int, on_done: OnDone) -> None:
    """Run jobs, here or in processes of their own.

    Args:
        jobs: each for itself.
        processes: the number of processes at once; 1 runs in this one.
        on_done: called in this process after each job, in whatever order they end.

    Raises:
        RunError: a process was killed (the memory, most often); what was finished is in the store.
    """
    if processes == 1:
        for job in jobs:
            on_done(job, run_job(job))
        return
    try:
        with closing(_in_pool(jobs, processes)) as finished:
            for job, reason in finished:
                on_done(job, reason)
    except BrokenProcessPool as error:
        raise RunError(
            "a process was killed, perhaps for memory; what was finished is kept: run it again with fewer `jobs`"
        ) from error


def _in_pool(jobs: Sequence[Job], processes: int) -> Generator[tuple[Job, str], None, None]:
    """Jobs as they end. Where this process is interrupted, or its caller gives up, its workers end too."""
    cores = os.cpu_count() or 1
    others = set(active_children())
    # Fresh processes: a fork would share torch's threads and locks with this one.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin_worker, (max(1, cores // processes),))
    try:
        futures = {pool.submit(run_job, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException:
        for worker in set(active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker(threads: int) -> None:
    """A worker leaves Ctrl-C to the process that started it, and ends when that one does, even if it was killed."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
