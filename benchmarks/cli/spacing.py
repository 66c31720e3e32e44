"""``benchmarks spacing``: what an implicit decoder adds to interpolation."""

from __future__ import annotations

from pathlib import Path

import click

from recon.cli.console import say
from recon.cli.flags import FlaggedCommand
from recon.errors import InputError, input_errors

_PATH = click.Path(path_type=Path)
_SCALES = "0.5,0.6,0.75,1.3,1.7,2.5"


def _numbers(ctx: click.Context, param: click.Parameter, text: str) -> list[float]:
    """Positive numbers that commas part."""
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise click.BadParameter(f"{text}: must be numbers such as {_SCALES}") from None
    if not all(0 < each < float("inf") for each in found):
        raise click.BadParameter(f"{text}: must be positive")
    return found


@click.command(cls=FlaggedCommand)
@click.argument("decoder", metavar="DECODER", type=_PATH)
@click.option(
    "--prior",
    default="starter",
    show_default=True,
    metavar="NAME|FOLDER",
    help="Prior whose autoencoder the decoder was trained on.",
)
@click.option(
    "--data",
    default="",
    metavar="FOLDER|FILE",
    help="Folder of volumes, or a YAML list of data sets as for recon train.",
)
@click.option(
    "--dataset",
    default="folder",
    show_default=True,
    metavar="NAME",
    help="Data set in --data. phantom[:count=8,size=...] needs no --data.",
)
@click.option("--modality", type=click.Choice(["CT", "MR"]), default=None, help="Modality of the volumes of a folder.")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="val",
    show_default=True,
    help="Split whose volumes are used.",
)
@click.option("--cases", type=click.IntRange(1), default=3, show_default=True, help="Largest number of volumes.")
@click.option(
    "--scales",
    default=_SCALES,
    show_default=True,
    callback=_numbers,
    metavar="S,...",
    help="Edges of the output's voxels, in voxels of the coarsened volumes: below 1 is finer.",
)
@click.option(
    "--longest",
    type=click.FloatRange(0, min_open=True),
    default=None,
    help="Longest edge in mm that coarsening by two may give a voxel; other axes stay as they are.  [default: as in "
    "the decoder's training]",
)
@click.option(
    "--depth",
    type=click.IntRange(1),
    default=None,
    help="Largest number of slices of a coarsened volume, from its middle.  [default: all]",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Device that computes."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("spacing-report"),
    show_default=True,
    help="Folder for figures and pictures.",
)
@click.option("--cache", type=_PATH, default=None, help="Folder for prepared volumes.  [default: cache in --out]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def spacing(
    decoder: Path,
    prior: str,
    data: str,
    dataset: str,
    modality: str | None,
    split: str,
    cases: int,
    scales: list[float],
    longest: float | None,
    depth: int | None,
    device: str,
    out: Path,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure an implicit decoder beside interpolation of the usual output.

    DECODER is a weights file that 'recon train implicit-decoder' has written. Held-out volumes are coarsened by two,
    encoded and brought to voxels of other sizes, for which the volumes themselves are the truth: by trilinear and cubic
    interpolation of the autoencoder's usual output, and by the implicit decoder. PSNR is that of the network range (CT:
    -1000 to 1000 HU). The power above the Nyquist frequency of the coarsened volume, as a share of the truth's, tells
    what is added that interpolation cannot add; its correlation with the truth tells how much of that is right.
    spacing.json and spacing.png, with slices at the finest scale, are written to --out.
    """
    from benchmarks.quality.spacing import Wanted, table
    from benchmarks.quality.spacing_report import json_text, load_decoder, look_at, names_people
    from datasets.cache import Cache
    from priors.diffusion.patch_volume import load_patch_volume
    from priors.weights.store import find_prior
    from recon.training.build_implicit import LONGEST
    from recon.training.sources import load_split, parse_data

    if not data and dataset.partition(":")[0] != "phantom":
        raise click.UsageError("--data: name a folder of volumes, or take --dataset phantom")
    with input_errors():
        networks = load_patch_volume(find_prior(prior))
        network, card = load_decoder(decoder, networks)
        parts = parse_data(data, dataset, modality, None)
        volumes = load_split(parts, split, Cache(cache or out / "cache"), say)
        if not volumes:
            raise InputError(f"`split` {split}: no volume of the data is in it")
        unique = list({each.volume.case.id: each.volume for each in volumes}.values())
        learned = float(card.extra.get(LONGEST, 0)) or None
        if longest is None and learned is None:
            raise InputError(f"`longest`: {decoder} does not say how its volumes were coarsened; name a length in mm")
        wanted = Wanted(
            networks.to(device), network.to(device), unique[:cases], scales, longest or learned or 0.0, depth
        )
        facts = {"weights_sha256": {**networks.sha256, decoder.name: card.sha256}, "split": split}
        rows = look_at(wanted, facts, out, say, names_people(parts))
    click.echo(json_text(rows, facts) if as_json else "\n".join(table(rows)))
    click.echo(f"written: {click.format_filename(out)}", err=True)
