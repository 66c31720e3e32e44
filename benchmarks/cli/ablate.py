"""``benchmarks ablate``: the paper's ablations, whose networks are trained for them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.cli.options import DEVICE, JSON, OUT, SPLIT, check_device, datasets_option, pair
from recon.cli.console import say
from recon.cli.flags import in_flags
from recon.cli.options import GroupedCommand, all_of, option
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from benchmarks.ablations.ablation import Ablation
    from recon.training.sources import DataPart

PHANTOMS = "phantom:count=12,size=64x64x64,spacing=4x5x5"
"""What is trained and measured on where no data are named."""


@dataclass(frozen=True)
class Options:
    """What an ablation is told."""

    data: str
    datasets: tuple[str, ...]
    split: str
    recipe: str
    steps: int | None
    settings: tuple[str, ...]
    base: str
    perceptual: str
    samples: int | None
    out: Path
    device: str


@click.command(cls=GroupedCommand)
@click.argument("table")
@all_of(
    option(
        "--data",
        group="Data",
        default="",
        metavar="FILE",
        help="YAML list of data sets as for recon train, in place of --dataset.",
    ),
    datasets_option("small phantoms"),
    SPLIT,
    option("--recipe", group="Training", default="starter", metavar="NAME|FILE", help="Recipe of every network."),
    option(
        "--steps",
        group="Training",
        type=click.IntRange(1),
        default=None,
        help="Number of steps of every training.  [default: the recipe's own]",
    ),
    option(
        "--set",
        "settings",
        group="Training",
        multiple=True,
        metavar="NETWORK:KEY=VALUE",
        help="Replace a setting of a recipe, such as biflownet:task.crop=[8,16,16]. May be repeated.",
    ),
    option(
        "--base",
        group="Training",
        default="",
        metavar="NAME|FOLDER",
        help="Prior whose autoencoder gives the initial weights (table5, table6), or the latents (table7, table8).  "
        "[default: an autoencoder is trained]",
    ),
    option(
        "--perceptual", group="Training", default="", metavar="FILE", help="File of the perceptual network, for table6."
    ),
    option(
        "--samples",
        group="Measures",
        type=click.IntRange(2),
        default=None,
        help="Number of new volumes that are sampled, for table7 and table8.  [default: 8]",
    ),
    DEVICE,
    OUT,
    JSON,
)
def ablate(table: str, as_json: bool, **options: Any) -> None:
    """Train the networks of one of the paper's ablations in the same way, and measure them.

    \b
    table5  joint decoder
    table6  losses of the autoencoder
    table7  intra-patch flow
    table8  encoding of the latents

    The networks are trained by the recipe that you name on the split train, and measured on another split. A run that
    was stopped continues where it was. The paper's own figures are printed apart.
    """
    given = Options(**options)
    check_device(given.device)
    asked = _asked(table, given)
    from benchmarks.ablations.ablation import run_ablation
    from benchmarks.ablations.text import as_text

    lines = run_ablation(asked, say)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return
    names = ", ".join(part.path.name if part.path else part.dataset for part in asked.parts)
    begun = f", from {given.base}" if given.base else ""
    click.echo(f"on {names}, split {given.split}, recipe {given.recipe}{begun}; not the paper's data\n")
    click.echo(in_flags(as_text(asked.spec, asked.name, lines)))
    click.echo(f"written: {click.format_filename(given.out / f'{asked.name}.json')}", err=True)


def _asked(table: str, given: Options) -> Ablation:
    """The options as one value, checked."""
    from benchmarks.ablations.ablation import Ablation
    from benchmarks.ablations.spec import load_ablation
    from benchmarks.cli.memory import MEMORY_TABLE
    from benchmarks.table.spec import table_names
    from priors.weights.store import find_prior
    from recon.training.machine import Machine

    if table in (MEMORY_TABLE, *table_names()):
        raise InputError(f"{table}: no network is trained for it; 'benchmarks run {table}' measures it")
    with input_errors():
        spec = load_ablation(table)
    with input_errors("`base`"):
        prior = find_prior(given.base) if given.base else None
    return Ablation(
        Path(table).stem,
        spec,
        _parts(given.datasets, given.data),
        given.out,
        given.split,
        given.recipe,
        given.steps,
        given.settings,
        given.perceptual,
        given.samples,
        Machine(given.device),
        prior,
    )


def _parts(datasets: tuple[str, ...], data: str) -> list[DataPart]:
    """What networks are trained and measured on."""
    from datasets import find_entry
    from recon.training.sources import DataPart, parse_data

    if data and datasets:
        raise InputError("`data` and `dataset`: give one of them")
    if data:
        return parse_data(data, "folder", None, None)
    found = []
    for name, path in [pair(each) for each in datasets] or [(PHANTOMS, "")]:
        with input_errors("`dataset`"):
            entry = find_entry(name.partition(":")[0])
        # The tables are of CT; a folder does not say what it holds.
        found.append(DataPart(name, Path(path) if path else None, entry.modality or "CT"))
    return found
