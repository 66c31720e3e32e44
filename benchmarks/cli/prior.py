"""``benchmarks prior``: what a latent prior is worth."""

from __future__ import annotations

import json
from pathlib import Path

import click

from recon.cli.flags import FlaggedCommand
from recon.errors import input_errors


@click.command(cls=FlaggedCommand)
@click.argument("name", metavar="[NAME|FOLDER]", default="starter")
@click.option(
    "--data", default="", metavar="FOLDER|FILE", help="Volumes, or a YAML list of data sets as for recon train."
)
@click.option("--modality", type=click.Choice(["CT", "MR"]), default=None, help="Of a folder.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="val", show_default=True)
@click.option("--samples", type=click.IntRange(0), default=3, show_default=True, help="New volumes of each class.")
@click.option("--steps", type=click.IntRange(1), default=50, show_default=True, help="Of their sampling.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("prior-report"), show_default=True
)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=None, help="Of prepared volumes.  [default: in --out]"
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def prior(
    name: str,
    data: str,
    modality: str | None,
    split: str,
    samples: int,
    steps: int,
    device: str,
    out: Path,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Look at a latent prior: held-out volumes through its autoencoder, and new volumes of each class it learned.

    Volumes are encoded patch by patch and decoded jointly and by patches; "seam" is how much more the error jumps
    across the borders of patches than elsewhere (1: not at all); "linear" is the PSNR of as many numbers without a
    network, the case's own principal components. Pictures go to --out, samples as they come.
    """
    import torch

    from benchmarks.quality.prior_report import Wanted, look_at
    from benchmarks.quality.round_trip import as_dicts, table
    from priors.diffusion.load import load_prior
    from priors.networks.inference import computes_in_bfloat16
    from priors.weights.store import find_prior
    from recon.training.sources import parse_data

    with input_errors():
        networks = load_prior(find_prior(name)).to(device)
        parts = parse_data(data, "folder", modality, None) if data else []
        bfloat16 = computes_in_bfloat16(torch.device(device))
        wanted = Wanted(parts, out, cache or out / "cache", split, samples, steps, bfloat16)
        rows = look_at(networks, wanted, lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps(as_dicts(rows), indent=2))
    elif rows:
        click.echo("\n".join(table(rows)))
    click.echo(f"written: {click.format_filename(out)}", err=True)
