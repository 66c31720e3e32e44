"""Run jobs on the workers of a Dask cluster (the extra ``dask``); all must see the same files.

A Dask scheduler runs the code of whoever can connect to it, and its workers trust it. It belongs on the loopback
interface, or behind TLS with certificates of one's own; how, is said in the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any

from benchmarks.table.cells import Job, run_job
from benchmarks.table.execute import OnDone
from recon.errors import InputError, RunError

TIMEOUT = "10s"
RETRIES = 3
"""A job whose worker is killed is given to another so many times."""


def dask_executor(address: str, run: Callable[[Job], str] = run_job) -> Callable[[Sequence[Job], OnDone], None]:
    """An executor for :func:`benchmarks.table.runner.run_table`, which raises ``RunError`` where the cluster ends.

    Args:
        address: the address of the scheduler.
        run: the function that computes a job on a worker, and returns why there is no result, or "".

    Raises:
        InputError: Dask is not installed, or no scheduler answers there.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise InputError("`scheduler`: Dask is not installed; pip install 'meddiffusion-recon[dask]'") from None
    try:
        client: Any = Client(address, timeout=TIMEOUT)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"`scheduler` {address}: no scheduler answers there ({error})") from error

    def execute(jobs: Sequence[Job], on_done: OnDone) -> None:
        try:
            futures = {client.submit(run, job, retries=RETRIES, pure=False): job for job in jobs}
            for future in as_completed(list(futures)):
                on_done(futures.pop(future), future.result())
                future.release()  # or the cell would be computed anew where the worker that did it is killed later
        except (OSError, TimeoutError, CancelledError, KilledWorker) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise RunError(
                f"`scheduler` {address}: the cluster did not finish ({reason}); what was finished is kept: run it again"
            ) from error

    return execute
