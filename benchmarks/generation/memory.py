"""The most memory that is held while something runs: of a GPU, or of the process on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from recon.run.provenance import peak_rss_mb

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], float]]:
    """Yields a function that tells the most MB since the block began.

    On a CPU that is the whole process, weights and libraries included; where the system cannot begin anew (other than
    Linux), it is the most since the process began.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device) / 1e6
        return
    with contextlib.suppress(OSError):
        _RESET.write_text("5", encoding="ascii")
    yield _high_water_mb


def _high_water_mb() -> float:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
    except (OSError, StopIteration, ValueError):
        return peak_rss_mb()
