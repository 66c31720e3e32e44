"""Seconds and peak memory of the 3D prior's parts, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.speed.prior_parts import Job

Row = dict[str, str | float]


def run(base: Job, parts: tuple[str, ...]) -> Iterator[Row]:
    """Measure one configuration, yielding rows as they are there.

    Args:
        base: configuration, size, device and options; its ``part`` is not used.
        parts: the parts to measure, of ``encode``, ``estimate``, ``decode``, ``generate``, ``deviation``.

    Raises:
        RuntimeError: a part failed, such as for want of memory.
    """
    size = " x ".join(map(str, base.size))
    title = f"{base.configuration}, {size}, {base.device} {base.precision}{', compiled' if base.compile else ''}"
    for part in parts:
        for job, label in _jobs(base, part):
            yield {"name": f"{title}: {label}", **_in_own_process(job)}
    if "estimate" in parts:
        rate = _in_own_process(replace(base, part="matmul"))
        yield {"name": f"{base.device} {base.precision}: matrix product", **rate}


def _jobs(base: Job, part: str) -> list[tuple[Job, str]]:
    """The jobs of a part with what they are called; deviations are of every option on its own."""
    if part != "deviation":
        return [(replace(base, part=part), part)]
    plain = replace(base, part=part, precision="float32", channels_last=False, compile=False)
    options: list[tuple[dict[str, str | bool], str]] = [
        ({"precision": "bfloat16"}, "bfloat16"),
        ({"channels_last": True}, "channels-last"),
        ({"compile": True}, "torch.compile"),
    ]
    return [(replace(plain, **changes), f"one estimate with {name}") for changes, name in options]  # type: ignore[arg-type]


def _in_own_process(job: Job) -> Row:
    command = [sys.executable, "-m", "benchmarks.speed.prior_parts", job.to_json()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{job.part} of {job.configuration} ended with exit code {done.returncode}: {last}")
    figures: Row = json.loads(done.stdout)
    return figures
