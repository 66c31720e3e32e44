"""``benchmarks faithfulness``: whether generated volumes show what their segmentations have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from benchmarks.cli.options import machine_options, sampling_options
from recon.cli.console import say
from recon.cli.flags import FlaggedCommand
from recon.errors import InputError, input_errors

_PATH = click.Path(path_type=Path)


@click.command(cls=FlaggedCommand)
@click.argument("head", metavar="HEAD")
@click.option("--data", default="", metavar="PATH", help="Folder of volumes, or a YAML list as for recon train.")
@click.option(
    "--dataset",
    default="folder",
    show_default=True,
    metavar="NAME",
    help="Data set in --data: folder or kits19. phantom[:count=8,size=...] needs no --data.",
)
@click.option("--segmentations", type=_PATH, default=None, help="Folder of the label maps of --dataset folder.")
@click.option("--class", "class_name", default=None, metavar="NAME", help="Anatomy of the volumes.")
@click.option("--prior", default=None, metavar="NAME|FOLDER", help="Prior of the head.  [default: found by its hash]")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Split whose segmentations are given to the head. With train, nearness tells what it remembers.",
)
@click.option(
    "--cases",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Largest number of segmentations that are used.",
)
@sampling_options
@click.option(
    "--segmenter-steps",
    type=click.IntRange(1),
    default=400,
    show_default=True,
    help="Number of training steps of the segmenter.",
)
@machine_options
@click.option("-o", "--out", type=_PATH, default=None, help="JSON file to write with every case and label.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def faithfulness(
    head: str,
    data: str,
    dataset: str,
    segmentations: Path | None,
    class_name: str | None,
    prior: str | None,
    split: str,
    cases: int,
    steps: int,
    sampler: Literal["ddim", "ddpm", "dpm++"],
    start: Literal["average", "noise"],
    segmenter_steps: int,
    seed: int,
    device: str,
    cache: Path,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure whether volumes generated for segmentations show what these have.

    HEAD is a ControlNet head of the task mask. A small segmenter is trained on the real volumes of the data's training
    split. It reads the labels of volumes that are generated for the segmentations of another split, and, for
    comparison, those of the real volumes. Dice, 95 % Hausdorff distance, mean and standard deviation of the HU inside
    each label, and the distance to the nearest volume of the training are printed.
    """
    from benchmarks.quality.faithfulness import Wanted, as_dict, measure, table
    from benchmarks.quality.segmenter import SegmenterTraining
    from datasets.cache import Cache
    from datasets.whole_file import whole_file
    from priors.generators.generator import Sampling
    from recon.generation.mask import load_mask_head
    from recon.training.sources import load_split, parse_data

    if not data and dataset.partition(":")[0] != "phantom":
        raise click.UsageError("--data: name a folder of volumes with segmentations, or take --dataset phantom")
    if out is not None and not out.parent.is_dir():
        raise InputError(f"`out` {out}: there is no folder {out.parent}")
    with input_errors():
        loaded = load_mask_head(head, prior)
        loaded.prior.to(device)
        parts = parse_data(data, dataset, "CT", class_name, segmentations=segmentations)
        kept = Cache(cache)
        train, held_out = (load_split(parts, each, kept, say) for each in ("train", split))
        if not held_out:
            raise InputError(f"`split` {split}: no case of the data is in it")
        wanted = Wanted(
            loaded,
            train,
            held_out[:cases],
            kept,
            Sampling(sampler, steps, start=start),
            SegmenterTraining(segmenter_steps, seed=seed),
            seed,
        )
        found = measure(wanted, say)
    if out is not None:
        with whole_file(out) as temporary:
            temporary.write_text(json.dumps(as_dict(found), indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(as_dict(found), indent=2) if as_json else "\n".join(table(found)))
