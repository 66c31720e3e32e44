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
        yield TrainingLines(lambda line: click.echo(line, err=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = [
        TextColumn(network),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  {task.fields[loss]}  {task.fields[rate]:.1f} samples/s"),
        TextColumn("{task.fields[memory]:.1f} GB"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: list[TaskID] = []
        terms = Terms()

        def show(progress: Progress) -> None:
            fields = {
                "loss": terms.short(progress),
                "rate": progress.samples_per_s,
                "memory": progress.memory_gb,
            }
            if not tasks:
                tasks.append(bars.add_task("", total=progress.steps, **fields))  # type: ignore[arg-type]
            bars.update(tasks[0], completed=progress.step, **fields)  # type: ignore[arg-type]
            if progress.validated:
                bars.console.print(_validation(progress), highlight=False, markup=False)

        yield show


class Terms:
    """The latest value of each term of the loss: networks that are optimised in turn have some in every other step."""

    def __init__(self) -> None:
        self._latest: dict[str, float] = {}

    def all(self, progress: Progress) -> str:
        """Every term, those of an earlier step included."""
        self._latest |= progress.losses
        return ", ".join(f"{name} {value:.4f}" for name, value in self._latest.items())

    def short(self, progress: Progress) -> str:
        """The total, and the reconstruction's where there is one."""
        self._latest |= progress.losses
        reconstruction = self._latest.get("reconstruction")
        total = f"loss {self._latest['total']:.4f}"
        return total if reconstruction is None else f"{total}, reconstruction {reconstruction:.4f}"


class TrainingLines:
    """The progress of a training for log files: about twenty lines over a run, and one for each validation.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._terms = write, Terms()

    def __call__(self, progress: Progress) -> None:
        """Take one step of a run."""
        terms = self._terms.all(progress)
        every = max(1, progress.steps // 20)
        if progress.step % every == 0 or progress.step == progress.steps:
            pace = f"{progress.samples_per_s:.2f} samples/s, {progress.memory_gb:.1f} GB"
            self._write(f"step {progress.step} of {progress.steps}: {terms}; {pace}")
        if progress.validated:
            self._write(_validation(progress))


def _validation(progress: Progress) -> str:
    figures = ", ".join(f"{name} {value:.4f}" for name, value in progress.validated.items())
    return f"validation after step {progress.step}: {figures}"
