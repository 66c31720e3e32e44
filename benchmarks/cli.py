"""The command ``benchmarks``. Imports click and nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

Row = dict[str, str | float]

_SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_SETTINGS)
@click.version_option(package_name="meddiffusion-recon", prog_name="benchmarks")
def main() -> None:
    """Measure the suite."""


@main.command()
@click.argument("what", nargs=-1, type=click.Choice(["projector", "fbp", "mri", "memory"]))
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Timed runs of each side.")
@click.option("--json", "as_json", is_flag=True, help="Print rows as JSON.")
def speed(what: tuple[str, ...], repeats: int, as_json: bool) -> None:
    """Time the suite beside well-known implementations, alternating in one process; all by default.

    \b
    projector  forward + adjoint, 40 views, 64 slices of 512², beside ASTRA's CPU projector
    fbp        fan FBP of the same, beside skimage's iradon
    mri        cg-sense and l1-wavelet beside sigpy's apps on the same problem, with the agreement of the results
    memory     peak memory of recon svct on 512 x 512 x 300, sirt and tv
    """
    rows: list[Row] = []
    for name in what or ("projector", "fbp", "mri", "memory"):
        new = _parts()[name](repeats)
        rows += new
        if not as_json:
            for row in new:
                click.echo(_line(row))
    if as_json:
        click.echo(json.dumps(rows, indent=2))


def _parts() -> dict[str, Callable[[int], list[Row]]]:
    from benchmarks.speed import ct, mri

    return {
        "projector": ct.projector,
        "fbp": ct.filtered_backprojection,
        "mri": mri.run,
        "memory": lambda _: ct.memory("sirt") + ct.memory("tv"),
    }


def _line(row: Row) -> str:
    """``name: figure value, …`` with the ratio as "N times faster"."""
    figures = [f"{key.replace('_', ' ')} {value:.3g}" for key, value in row.items() if isinstance(value, float)]
    return f"{row['name']}: " + ", ".join(figures)
