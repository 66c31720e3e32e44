"""The progress of a training on a terminal, or in lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from priors.training.loop import Progress


@contextmanager
def training_bar(network: str, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar with loss, samples per second, memory and time left on a terminal; a line now and then elsewhere."""
    if quiet:
        yield lambda progress: None
        return
    if not sys.stderr.isatty():
        yield _line_now_and_then
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = [
        TextColumn(network),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.4f}  {task.fields[rate]:.1f} samples/s"),
        TextColumn("{task.fields[memory]:.1f} GB"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: list[TaskID] = []

        def show(progress: Progress) -> None:
            fields = {
                "loss": progress.losses["total"],
                "rate": progress.samples_per_s,
                "memory": progress.memory_gb,
            }
            if not tasks:
                tasks.append(bars.add_task("", total=progress.steps, **fields))  # type: ignore[arg-type]
            bars.update(tasks[0], completed=progress.step, **fields)  # type: ignore[arg-type]

        yield show


def _line_now_and_then(progress: Progress) -> None:
    """About twenty lines over a run."""
    every = max(1, progress.steps // 20)
    if progress.step % every == 0 or progress.step == progress.steps:
        terms = ", ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        pace = f"{progress.samples_per_s:.2f} samples/s, {progress.memory_gb:.1f} GB"
        click.echo(f"step {progress.step} of {progress.steps}: {terms}; {pace}", err=True)
