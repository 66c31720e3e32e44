"""``benchmarks calibrate``: a head's standard deviation made to mean what it says."""

from __future__ import annotations

from pathlib import Path

import click

from recon.cli.flags import FlaggedCommand
from recon.errors import InputError, input_errors


@click.command(cls=FlaggedCommand)
@click.argument("head", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--prior", default="", metavar="NAME|FOLDER", help="As for recon svct.  [default: the one with its hash]")
@click.option("--data", required=True, metavar="FOLDER|FILE", help="Volumes; those of the split val are looked at.")
@click.option("--modality", type=click.Choice(["CT", "MR"]), default=None, help="Of a folder.")
@click.option("--samples", type=click.IntRange(2), default=4, show_default=True, help="Of each scan.")
@click.option("--scans", type=click.IntRange(1), default=1, show_default=True, help="Of each case and kind of scan.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The head with its calibration.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
def calibrate(
    head: Path, prior: str, data: str, modality: str | None, samples: int, scans: int, out: Path, overwrite: bool
) -> None:
    """Calibrate the standard deviation of a ControlNet head's results.

    On validation cases, two numbers are chosen that turn the spread of the head's samples and their changes into a
    standard deviation. They are widened until each case, left out of the choice, has at least 85 % of its voxels in the
    90 % intervals, and are written into the head's card. After that, the standard deviation of 'recon svct --set
    samples=4' gives intervals that contain the ground truth as often as they claim, on cases like these.
    """
    from tempfile import TemporaryDirectory

    from benchmarks.quality.calibrate import calibrate as fit
    from benchmarks.quality.calibrate import table, write
    from datasets.cache import Cache
    from recon.methods.meddiffusion import MedDiffusionOptions
    from recon.training.sources import load_split, parse_data

    with input_errors(), TemporaryDirectory() as scratch:
        if out.exists() and not overwrite:
            raise InputError(f"-o {out}: exists; --overwrite replaces it")
        parts = parse_data(data, "folder", modality, None)
        volumes = load_split(parts, "val", Cache(Path(scratch)), lambda line: click.echo(line, err=True))
        options = MedDiffusionOptions(weights=str(head), prior=prior, samples=samples)
        found = fit(options, volumes, scans, lambda line: click.echo(line, err=True))
        write(head, out, found)
    click.echo("\n".join(table(found)))
