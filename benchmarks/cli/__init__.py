"""The command ``benchmarks``. Imports click and nothing heavy."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

from benchmarks.cli.ablate import ablate
from benchmarks.cli.calibrate import calibrate
from benchmarks.cli.data import data
from benchmarks.cli.faithfulness import faithfulness
from benchmarks.cli.lesions import lesions
from benchmarks.cli.patient import patient
from benchmarks.cli.prior import prior
from benchmarks.cli.readers import readers
from benchmarks.cli.run import run
from benchmarks.cli.spacing import spacing
from benchmarks.cli.speed import speed, speed_prior
from benchmarks.cli.steps import steps
from benchmarks.cli.tables import compare, list_tables, show
from recon.cli.options import SETTINGS, help_alone
from recon.cli.program import Program


class BenchmarksProgram(Program):
    """The outermost group, which SIGTERM ends as Ctrl-C does: its worker processes end, and nothing is half written."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; see :meth:`recon.cli.program.Program.main`."""
        if standalone_mode and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _interrupt)
        return super().main(args, prog_name, complete_var, standalone_mode, **extra)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@click.group("benchmarks", cls=BenchmarksProgram, context_settings=SETTINGS, invoke_without_command=True)
@click.version_option(package_name="meddiffusion-recon", prog_name="benchmarks")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Compare methods, check data sets, and time the suite.

    Exit codes: 0 done, 2 wrong input or options, 1 the run failed, 130 interrupted.
    """
    help_alone(ctx)


for command in (
    data,
    run,
    ablate,
    list_tables,
    show,
    compare,
    prior,
    faithfulness,
    spacing,
    patient,
    steps,
    lesions,
    calibrate,
    readers,
    speed,
    speed_prior,
):
    main.add_command(command)
