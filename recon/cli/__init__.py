"""The command ``recon``. This package imports click and nothing heavy; commands import what they need when run."""

from __future__ import annotations

import os
import signal
from types import FrameType

import click

from recon.cli.generate import generate
from recon.cli.import_projections import import_command
from recon.cli.inspect import info, methods
from recon.cli.mri import mri
from recon.cli.options import SETTINGS, help_alone
from recon.cli.program import Program
from recon.cli.serve import serve
from recon.cli.simulate import simulate
from recon.cli.streams import open_streams
from recon.cli.svct import svct
from recon.cli.train import train
from recon.cli.view import view
from recon.cli.weights import weights


@click.group("recon", cls=Program, context_settings=SETTINGS, invoke_without_command=True)
@click.version_option(package_name="meddiffusion-recon", prog_name="recon")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Reconstruct CT and MR volumes from too few measurements.

    \b
    recon svct case.nii.gz --views 40             reconstruct CT from 40 views
    recon mri --mask poisson --accel 8            reconstruct MR from one eighth of k-space (sample data)
    recon import scan.mat --geometry my.yaml      make a sinogram of measured CT projections
    recon info case.nii.gz                        tell what a file holds
    recon view FOLDER                             look at the volumes of a run: planes, 3D, overlays
    recon methods                                 list the reconstruction methods
    recon generate --class CTChestAbdomen         generate a new volume with a diffusion prior
    recon train controlnet --task svct ...        train a network, such as a head for your scanner
    recon serve                                   reconstruct what scanners and programs send
    recon weights list                            list the trained networks that are installed

    Each reconstruction writes a folder with the volume (recon.nii.gz), its figures (result.json) and a report for the
    browser (report.html). Exit codes: 0 done, 2 wrong input or options, 1 the run failed, 130 interrupted.

    Shell completion: eval "$(_RECON_COMPLETE=bash_source recon)" in bash, zsh_source in zsh.
    """
    help_alone(ctx)


_COMMANDS = (svct, mri, simulate, import_command, generate, train, weights, methods, info, view, serve)
for command in _COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line; errors become one line and an exit code, signals leave nothing half written."""
    # Before torch loads OpenMP: waiting threads shall sleep, not spin. Spinning makes a run several times slower on a
    # machine that does other work too.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    open_streams()
    signal.signal(signal.SIGTERM, _interrupt)
    cli.main(prog_name="recon")


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does, so that temporary files are removed."""
    raise KeyboardInterrupt
