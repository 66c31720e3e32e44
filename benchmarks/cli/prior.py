"""``benchmarks prior``: what a latent prior is worth."""

from __future__ import annotations

import json
from pathlib import Path

import click

from recon.cli.console import say
from recon.cli.flags import FlaggedCommand
from recon.errors import input_errors


@click.command(cls=FlaggedCommand)
@click.argument("name", metavar="[NAME|FOLDER]", default="starter")
@click.option(
    "--data",
    default="",
    metavar="FOLDER|FILE",
    help="Folder of volumes, or a YAML list of data sets as for recon train. Without it, new volumes are sampled "
    "and nothing else.",
)
@click.option("--modality", type=click.Choice(["CT", "MR"]), default=None, help="Modality of the volumes of a folder.")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="val",
    show_default=True,
    help="Split whose volumes are used.",
)
@click.option(
    "--samples", type=click.IntRange(0), default=3, show_default=True, help="Number of new volumes of each class."
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=None,
    help="Number of sampler steps for a new volume.  [default: 50, or what the prior was distilled for]",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Device that computes."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("prior-report"),
    show_default=True,
    help="Folder for figures and pictures.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder for prepared volumes.  [default: cache in --out]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def prior(
    name: str,
    data: str,
    modality: str | None,
    split: str,
    samples: int,
    steps: int | None,
    device: str,
    out: Path,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure a latent prior: encode and decode volumes that it has not seen, and sample new volumes of each class.

    Volumes are encoded patch by patch, and decoded jointly and patch by patch. "seam" compares the jump of the error
    across the borders of patches with its jump elsewhere (1: no difference). "linear" is the PSNR of a compression to
    as many numbers without a network, by the case's own principal components. Pictures of all of
    them are written to --out.
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
        rows = look_at(networks, wanted, say)
    if as_json:
        click.echo(json.dumps(as_dicts(rows), indent=2))
    elif rows:
        click.echo("\n".join(table(rows)))
    click.echo(f"written: {click.format_filename(out)}", err=True)
