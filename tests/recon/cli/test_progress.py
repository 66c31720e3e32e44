"""Progress: one bar on a terminal, a line a stage and every 30 s elsewhere, nothing if quiet."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from cli_helpers import run_recon, write_ct

from recon.cli.console import ProgressLines, progress_bar
from recon.scan.measurement import ProgressEvent

EVENTS = (
    ProgressEvent("TV: iterations", 1, 4, 0.5),
    ProgressEvent("TV: iterations", 2, 4, 0.25),
    ProgressEvent("sampling", 1, 3),
    ProgressEvent("data step 3 of 5", 1, 1),
)


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown_on(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, quiet: bool = False) -> str:
    """What :func:`progress_bar` writes of EVENTS to a standard error."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar(quiet) as progress:
        for event in EVENTS:
            progress(event)
    return stream.getvalue()


def test_a_terminal_shows_one_bar_with_stage_residual_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorder:
        """Stands for rich's bar: what it is told, and which tasks it shows at once."""

        def __init__(self, *columns: object, **given: object) -> None:
            self.columns, self.tasks, self.most, self.told = columns, {}, 0, []  # type: ignore[var-annotated]
            bars.append(self)

        def __enter__(self) -> Recorder:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def add_task(self, stage: str, **given: object) -> int:
            self.tasks[len(self.told)] = stage
            self.most = max(self.most, len(self.tasks))
            return len(self.told)

        def remove_task(self, task: int) -> None:
            del self.tasks[task]

        def update(self, task: int, *, completed: int, total: int, residual: str) -> None:
            self.told.append((self.tasks[task], completed, total, residual))

    bars: list[Recorder] = []
    monkeypatch.setattr("rich.progress.Progress", Recorder)
    shown_on(Terminal(), monkeypatch)
    (bar,) = bars
    assert bar.most == 1
    assert bar.told == [
        ("TV: iterations", 1, 4, "residual 5.00e-01"),
        ("TV: iterations", 2, 4, "residual 2.50e-01"),
        ("sampling", 1, 3, ""),
        ("data step 3 of 5", 1, 1, ""),
    ]
    assert "TimeRemainingColumn" in {type(column).__name__ for column in bar.columns}


def test_the_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = shown_on(Terminal(), monkeypatch)
    assert "data step 3 of 5" in drawn
    assert "0.00e+00" not in drawn


def test_without_a_terminal_each_stage_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown_on(io.StringIO(), monkeypatch).splitlines()
    assert lines == ["TV: iterations (4 steps)", "sampling (3 steps)", "data step 3 of 5"]


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_quiet_shows_nothing(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_on(stream, monkeypatch, quiet=True) == ""


def test_a_long_stage_tells_every_thirty_seconds_how_far_it_is() -> None:
    now, lines = [0.0], list[str]()
    progress = ProgressLines(lines.append, lambda: now[0])
    for step in range(1, 10):
        now[0] = 10.0 * step
        progress(ProgressEvent("sampling", step, 10))
    now[0] = 130.0
    progress(ProgressEvent("sampling", 10, 10, 0.125))
    assert lines == [
        "sampling (10 steps)",
        "sampling: 4 of 10, 60 s left",
        "sampling: 7 of 10, 30 s left",
        "sampling: 10 of 10, residual 1.25e-01, 0 s left",
    ]


def test_a_command_tells_its_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_ct(Path("ct.nii.gz"))
    command = ("svct", "ct.nii.gz", "--method", "sirt", "--set", "iterations=3", "--overwrite", "-o", "out")
    told = run_recon(*command)
    assert told.code == 0
    stages = [line for line in told.err.splitlines() if not line.startswith("note: ")]
    assert stages == ["model error (180 steps)", "SIRT: iterations (3 steps)"]
    assert run_recon(*command, "-q").err == ""
