"""What a command prints: progress and notes on standard error, results on standard output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.flags import in_flags
from recon.errors import InputError, RunError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from recon.metrics import Metric
    from recon.scan.measurement import Progress, ProgressEvent


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress]:
    """A progress callback that draws a bar on a terminal: stage, steps, residual where there is one, time left.

    There is one bar; when a stage begins, it begins anew under that stage's name.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda event: None
        return
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
        click.echo(in_flags(message), err=True)


def show_result(result: dict[str, Any], folder: Path, as_json: bool, quiet: bool) -> None:
    """The metrics against the direct method's, and as the last line where the report lies."""
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    if quiet:
        click.echo(click.format_filename(folder))
        return
    from recon.metrics import METRICS

    columns = {key: metric for key, metric in METRICS.items() if metric.on_screen}
    rows = {result["baseline"]["method"]: result["baseline"], result["method"]: result["metrics"]}
    shown = [key for key in columns if any(row.get(key) is not None for row in rows.values())]
    click.echo(f"{'':16}" + "".join(f"{columns[key].heading:>16}" for key in shown))
    for name, row in rows.items():
        click.echo(f"{name:16}" + "".join(f"{_figure(columns[key], row.get(key)):>16}" for key in shown))
    if result["true_acceleration"]:
        click.echo(f"true acceleration {result['true_acceleration']:.3f}")
    click.echo(f"{result['seconds']:.1f} s on {result['device']}, at most {result['peak_rss_mb']:.0f} MB of memory")
    click.echo(f"report: {click.format_filename(folder / 'report.html')}")


def _figure(metric: Metric, value: float | None) -> str:
    return "-" if value is None else metric.text(value)


@contextmanager
def memory_errors(needed: int | None = None) -> Iterator[None]:
    """Refuse a run that would not fit in memory, and turn an allocation that failed into one line."""
    from recon.run.memory import available_bytes

    free = available_bytes()
    if needed is not None and needed > free:
        raise InputError(
            f"the volume needs about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; "
            "use a smaller volume, fewer views, or a machine with more memory"
        )
    try:
        yield
    except MemoryError:
        raise RunError("out of memory; use a smaller volume or fewer views") from None
    except RuntimeError as error:
        if "alloc" not in str(error) and "out of memory" not in str(error):
            raise
        raise RunError(f"out of memory: {' '.join(str(error).split())[:200]}") from None


def default_folder(source: Path, task: str, method: str) -> Path:
    """``recon-CASE-TASK-METHOD`` in the working folder."""
    name = source.name
    for suffix in (".gz", ".nii", ".h5", ".hdf5", ".npy", ".npz"):
        name = name.removesuffix(suffix)
    return Path(f"recon-{name or os.path.basename(source.resolve())}-{task}-{method}")
