"""The command ``benchmarks``. Imports click and nothing heavy."""

from __future__ import annotations

import click

from benchmarks.cli.ablate import ablate
from benchmarks.cli.calibrate import calibrate
from benchmarks.cli.data import data
from benchmarks.cli.lesions import lesions
from benchmarks.cli.prior import prior
from benchmarks.cli.run import run
from benchmarks.cli.speed import speed, speed_prior
from benchmarks.cli.tables import compare, list_tables, show
from recon.cli.options import SETTINGS, help_alone
from recon.cli.program import Program


@click.group("benchmarks", cls=Program, context_settings=SETTINGS, invoke_without_command=True)
@click.version_option(package_name="meddiffusion-recon", prog_name="benchmarks")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Compare methods, check data sets, and time the suite.

    Exit codes: 0 done, 2 wrong input or options, 1 the run failed, 130 interrupted.
    """
    help_alone(ctx)


for command in (data, run, ablate, list_tables, show, compare, prior, lesions, calibrate, speed, speed_prior):
    main.add_command(command)
