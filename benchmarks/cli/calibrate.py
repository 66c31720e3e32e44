"""``benchmarks calibrate``: the calibration of a head's standard deviation."""

from __future__ import annotations

from pathlib import Path

import click

from recon.cli.console import say
from recon.cli.flags import FlaggedCommand
from recon.errors import InputError, input_errors


@click.command(cls=FlaggedCommand)
@click.argument("head", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--prior",
    default="",
    metavar="NAME|FOLDER",
    help="Prior that the head was trained on.  [default: the installed prior with the hash in the head's card]",
)
@click.option(
    "--data",
    required=True,
    metavar="FOLDER|FILE",
    help="Folder of volumes, or a YAML list of data sets as for recon train; the volumes of the split val are used.",
)
@click.option("--modality", type=click.Choice(["CT", "MR"]), default=None, help="Modality of the volumes of a folder.")
@click.option("--samples", type=click.IntRange(2), default=4, show_default=True, help="Number of samples of each scan.")
@click.option(
    "--scans", type=click.IntRange(1), default=1, show_default=True, help="Number of scans of each case and kind."
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="File for the head with its calibration."
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
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
        volumes = load_split(parts, "val", Cache(Path(scratch)), say)
        options = MedDiffusionOptions(weights=str(head), prior=prior, samples=samples)
        found = fit(options, volumes, scans, say)
        write(head, out, found)
    click.echo("\n".join(table(found)))
