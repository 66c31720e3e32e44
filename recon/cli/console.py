"""What a command prints: progress and notes on standard error, results on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.flags import in_flags
from recon.cli.harmless import harmless

if TYPE_CHECKING:
    from rich.progress import TaskID

    from recon.metrics import Metric
    from recon.scan.measurement import Progress, ProgressEvent


_SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal, a stage tells how far it is once in this time."""


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress]:
    """A progress callback: a bar on a terminal, a line a stage elsewhere, nothing if ``quiet``."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield ProgressLines(lambda line: click.echo(harmless(line), err=True))


class ProgressLines:
    """Progress for log files: a line when a stage begins, then one every 30 seconds.

    Args:
        write: takes a line.
        clock: seconds that have passed since some fixed time.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._first: ProgressEvent | None = None  # of the stage
        self._began = self._written = 0.0

    def __call__(self, event: ProgressEvent) -> None:
        """Take one step of a run."""
        now = self._clock()
        if self._first is None or event.stage != self._first.stage:
            self._first, self._began, self._written = event, now, now
            self._write(f"{event.stage} ({event.total} steps)" if event.total > 1 else event.stage)
        elif now - self._written >= _SECONDS_BETWEEN_LINES:
            self._written = now
            left = (now - self._began) / max(1, event.done - self._first.done) * (event.total - event.done)
            residual = "" if event.residual is None else f", residual {event.residual:.2e}"
            self._write(f"{event.stage}: {event.done} of {event.total}{residual}, {left:.0f} s left")


@contextmanager
def _bar() -> Iterator[Progress]:
    """One bar: stage, steps, residual where there is one, time left. It begins anew when a stage begins."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[residual]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        shown: dict[str, TaskID] = {}  # the stage that the bar shows; direct methods never have one

        def show(event: ProgressEvent) -> None:
            if event.stage not in shown:
                for task in shown.values():
                    bar.remove_task(task)
                shown.clear()
                shown[event.stage] = bar.add_task(event.stage, total=event.total, residual="")
            residual = "" if event.residual is None else f"residual {event.residual:.2e}"
            bar.update(shown[event.stage], completed=event.done, total=event.total, residual=residual)

        yield show


def say(message: str, quiet: bool = False) -> None:
    """A line on standard error, in the running command's words."""
    if not quiet:
        click.echo(harmless(in_flags(message)), err=True)


def show_result(result: dict[str, Any], folder: Path, as_json: bool, quiet: bool) -> None:
    """The metrics against the direct method's, and as the last line where the report lies."""
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    if quiet:
        click.echo(click.format_filename(folder))
        return
    from recon.metrics import METRICS

    rows = {result["baseline"]["method"]: result["baseline"]}
    rows |= {each["method"]: each["metrics"] for each in result["results"]}
    for line in _table(rows, {key: metric for key, metric in METRICS.items() if metric.on_screen}):
        click.echo(line)
    if result["true_acceleration"]:
        click.echo(f"true acceleration {result['true_acceleration']:.3f}")
    seconds = sum(each["seconds"] for each in result["results"])
    click.echo(f"{seconds:.1f} s on {result['device']}, at most {result['peak_rss_mb']:.0f} MB of memory")
    click.echo(f"report: {click.format_filename(folder / 'report.html')}")


def _table(rows: dict[str, dict[str, Any]], columns: dict[str, Metric]) -> list[str]:
    """A line of titles, one of units and one a method, within 80 columns; columns without figures are left out."""
    shown = {key: metric for key, metric in columns.items() if any(row.get(key) is not None for row in rows.values())}
    first = max(map(len, rows)) + 2
    lines = [[""] + [metric.title for metric in shown.values()], [""] + [metric.unit for metric in shown.values()]]
    lines += [[name] + [_figure(metric, row.get(key)) for key, metric in shown.items()] for name, row in rows.items()]
    widths = [max(len(line[i]) for line in lines) + 2 for i in range(1, len(shown) + 1)]
    return [
        line[0].ljust(first) + "".join(text.rjust(width) for text, width in zip(line[1:], widths, strict=True))
        for line in lines
    ]


def _figure(metric: Metric, value: float | None) -> str:
    return "-" if value is None else metric.text(value)


def default_folder(source: Path, task: str, scan: str, method: str) -> Path:
    """``recon-CASE-TASK-SCAN-METHOD`` in the working folder.

    Args:
        source: the file or folder that was read.
        task: ``svct`` or ``mri``.
        scan: the way of measuring, such as ``paper40-40views`` or ``poisson-8x``; empty where the data decide it.
        method: the method, or several joined by a plus sign.
    """
    name = source.name
    for suffix in (".gz", ".nii", ".h5", ".hdf5", ".npy", ".npz"):
        name = name.removesuffix(suffix)
    parts = ("recon", name or os.path.basename(source.resolve()), task, scan, method)
    return Path("-".join(part for part in parts if part))
