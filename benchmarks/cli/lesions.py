"""``benchmarks lesions``: how much of known lesions a method shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from recon.cli.console import say
from recon.cli.flags import FlaggedCommand
from recon.errors import input_errors


@click.command(cls=FlaggedCommand)
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path),
    default=None,
    help="CT volume in HU.  [default: the shipped sample]",
)
@click.option(
    "--methods",
    default="tv,fbpconv,meddiffusion",
    show_default=True,
    metavar="A,B",
    help="Methods to compare, separated by commas.",
)
@click.option(
    "--geometry",
    default="paper40",
    show_default=True,
    metavar="NAME|FILE",
    help="Geometry of the scan: a preset or a YAML file, as for recon svct.",
)
@click.option(
    "--photons",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Number of photons per detector cell and view. Without this option, the data are noise-free.",
)
@click.option(
    "--simulate",
    type=click.Choice(["continuous", "ideal"]),
    default="continuous",
    show_default=True,
    help="How both scans are simulated: of a continuous object on a finer grid (continuous), or with the operator that "
    "reconstructs them (ideal), which is an inverse crime.",
)
@click.option(
    "--slices",
    type=click.IntRange(4),
    default=24,
    show_default=True,
    help="Number of slices around the lesions that are used.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def lesions(
    source: Path | None,
    methods: str,
    geometry: str,
    photons: float | None,
    simulate: Literal["continuous", "ideal"],
    slices: int,
    as_json: bool,
) -> None:
    """Put known lesions into a case, and measure what each method shows of them.

    One lesion is large and faint, the other small and bright. The case is scanned with and without them, and both scans
    are reconstructed. "recovered" is the share of a lesion's contrast that a method shows (1: all of it). "invented" is
    the contrast in HU that it shows at the same place in the scan without the lesion.
    """
    from benchmarks.quality.lesions import as_dicts, measure, most_soft_tissue, table
    from recon.acquisition.ct import choose_geometry
    from recon.cli.svct_inputs import parse_noise, read_ct

    with input_errors():
        volume = read_ct(source, None, "auto", "refuse", quiet=False, resample=False)
        rows = measure(
            most_soft_tissue(volume, slices),
            choose_geometry(geometry),
            methods.split(","),
            noise=parse_noise(photons, None),
            simulate=simulate,
            announce=say,
        )
    click.echo(json.dumps(as_dicts(rows, simulate), indent=2) if as_json else "\n".join(table(rows, simulate)))
