"""``benchmarks lesions``: what a method leaves of lesions that it was not told of."""

from __future__ import annotations

import json
from pathlib import Path

import click

from recon.cli.flags import FlaggedCommand
from recon.errors import input_errors


@click.command(cls=FlaggedCommand)
@click.option("--input", "source", type=click.Path(path_type=Path), default=None, help="CT.  [default: the sample]")
@click.option("--methods", default="tv,fbpconv,meddiffusion", show_default=True, metavar="A,B")
@click.option("--geometry", default="paper40", show_default=True, metavar="NAME|FILE", help="As for recon svct.")
@click.option("--photons", type=click.FloatRange(min=0, min_open=True), default=None, help="Per cell; none: no noise.")
@click.option("--slices", type=click.IntRange(4), default=24, show_default=True, help="Around the lesions.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def lesions(
    source: Path | None, methods: str, geometry: str, photons: float | None, slices: int, as_json: bool
) -> None:
    """Put known lesions into a case, and see what methods leave.

    A large faint and a small bright one; the case is scanned with and without them and reconstructed. "recovered" is
    the contrast that a method leaves of them (1: all), "invented" the contrast in HU that it shows at the same place
    where there is none.
    """
    from benchmarks.quality.lesions import as_dicts, measure, most_soft_tissue, table
    from recon.acquisition.ct import choose_geometry
    from recon.cli.svct import parse_noise, read_ct

    with input_errors():
        volume = read_ct(source, None, "auto", "refuse", quiet=False)
        rows = measure(
            most_soft_tissue(volume, slices),
            choose_geometry(geometry),
            methods.split(","),
            noise=parse_noise(photons, None),
            announce=lambda line: click.echo(line, err=True),
        )
    click.echo(json.dumps(as_dicts(rows), indent=2) if as_json else "\n".join(table(rows)))
