"""``benchmarks run table11``: classifiers trained with generated volumes and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.cli.options import pair
from recon.cli.console import say
from recon.cli.flags import in_flags
from recon.cli.harmless import harmless
from recon.cli.options import option
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from recon.training.sources import DataPart

TABLE11 = "table11"
TABLE11_TITLE = "classifiers of chest CT trained with generated volumes"

OF_CLASSIFIERS = ("recipe", "seeds")
"""What this table alone takes."""

TAKEN_BY_TABLE11 = (
    *("table", "data", "datasets", "priors", "count", "steps", "cache", "device", "out", "as_json"),
    *OF_CLASSIFIERS,
)
"""What it takes."""

USUAL_DATA = "phantom:count=120,anatomy=chest,opacities=0.5,size=32x64x64,spacing=9x6x6"
"""The data where none are named: half of the chests have opacities in the lungs."""


def classifier_options() -> list[Callable[[Any], Any]]:
    """The options of this table alone."""
    return [
        option(
            "--recipe",
            group="Classifiers",
            default="starter",
            metavar="NAME|FILE",
            help="Recipe of the classifiers of table11: paper, starter, tiny, or a YAML file.",
        ),
        option(
            "--seeds",
            group="Classifiers",
            type=click.IntRange(1),
            default=5,
            help="Number of classifiers of each row of table11, with the seeds 0, 1 and so on.",
        ),
    ]


def classifier_table(
    data: tuple[Path, ...],
    datasets: tuple[str, ...],
    device: str,
    out: Path,
    as_json: bool,
    *,
    priors: tuple[str, ...],
    count: int,
    steps: tuple[str, ...],
    cache: Path | None,
    recipe: str,
    seeds: int,
) -> None:
    """Run the table, print it, and write its results and its page into a folder of its name."""
    import torch

    from benchmarks.downstream.table11.files import text, write_all
    from benchmarks.downstream.table11.run import Table11Request, run_table11
    from priors.training.recipe import load_recipe

    if len(priors) > 1:
        raise InputError(f"`prior`: {TABLE11} takes one generator, not {len(priors)}")
    with input_errors("`recipe`"):
        chosen = load_recipe("classifier", recipe)
    request = Table11Request(
        _parts(data, datasets),
        priors[0] if priors else None,
        count,
        _steps(steps),
        chosen,
        Path(recipe).stem,
        seeds,
        out / TABLE11,
        cache or out / TABLE11 / "cache",
        torch.device(device),
    )
    finished = run_table11(request, lambda line: say(in_flags(line)))
    written = write_all(finished, out / TABLE11)
    result = finished.result
    click.echo(json.dumps(result.to_dict(), indent=2) if as_json else harmless(in_flags(text(result))))
    click.echo(f"written: {', '.join(click.format_filename(path) for path in written)}", err=True)


def _parts(data: tuple[Path, ...], datasets: tuple[str, ...]) -> tuple[DataPart, ...]:
    """Data sets whose cases have a class, and YAML lists that name it; the phantoms where there are none."""
    from benchmarks.downstream.table11.rows import CLASSES
    from recon.training.sources import parse_data

    named = datasets if data or datasets else (USUAL_DATA,)
    found = [part for each in data for part in parse_data(str(each), "folder", "CT", None, classes=CLASSES)]
    for each in named:
        name, path = pair(each)
        found += parse_data(path, name, None, None, classes=CLASSES)
    return tuple(found)


def _steps(texts: tuple[str, ...]) -> int | None:
    if not texts:
        return None
    if len(texts) > 1 or not texts[0].isdecimal() or int(texts[0]) < 1:
        raise InputError(f"`steps` {' '.join(texts)}: {TABLE11} takes one whole number from 1")
    return int(texts[0])
