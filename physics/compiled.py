"""Loops compiled by numba: kept on the disk, and run by several threads on parts of their work.

The modules that hold such loops import numba, which takes half a second; import them where they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled at its first call and kept on the disk for the next process, where a folder allows it."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return njit(**_OPTIONS)(function)


def in_threads(work: Callable[[int, int], object], count: int, parts: int | None = None) -> None:
    """Call ``work(first, last)`` for consecutive parts of ``range(count)``, each in a thread of its own.

    Threads of Python and not numba's own, whose pools abort the process after a fork.

    Args:
        work: a compiled loop, which holds no lock while it runs.
        count: number of items.
        parts: number of parts; None: as many as torch has threads.
    """
    parts = max(1, min(parts or torch.get_num_threads(), count))
    edges = [count * k // parts for k in range(parts + 1)]
    if parts == 1:
        work(0, count)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))
