"""``benchmarks patient``: whether generated volumes show the age and the sex that they were generated for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from benchmarks.cli.options import machine_options, sampling_options
from recon.cli.console import say
from recon.cli.flags import FlaggedCommand
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from priors.diffusion.anatomy import Anatomy
    from priors.diffusion.prior import LatentPrior

_PATH = click.Path(path_type=Path)


@click.command(cls=FlaggedCommand)
@click.argument("prior", metavar="PRIOR")
@click.option("--data", default="", metavar="PATH", help="Folder of volumes, or a YAML list as for recon train.")
@click.option(
    "--dataset",
    default="folder",
    show_default=True,
    metavar="NAME",
    help="Data set in --data. phantom:age=20-90,sex=mixed[,count=160,...] needs no --data.",
)
@click.option("--modality", type=click.Choice(["CT", "MR"]), default=None, help="Modality of a folder of NIfTI files.")
@click.option(
    "--class", "class_name", default=None, metavar="NAME", help="Anatomy.  [default: the first that the prior learned]"
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Split of the real volumes on which the reader is tested.",
)
@click.option(
    "--count",
    type=click.IntRange(2),
    default=24,
    show_default=True,
    help="Number of volumes that are generated for each guidance, of ages from the lowest to the highest learned.",
)
@click.option(
    "--guidance",
    type=click.FloatRange(0, 100),
    multiple=True,
    default=(0.0, 1.0, 2.0),
    show_default=True,
    help="Scale of the guidance; may be repeated. 0 tells the network nothing, 1 is what it learned.",
)
@sampling_options
@click.option(
    "--reader-steps",
    type=click.IntRange(1),
    default=400,
    show_default=True,
    help="Number of training steps of the reader.",
)
@machine_options
@click.option("-o", "--out", type=_PATH, default=None, help="JSON file to write with every volume.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def patient(
    prior: str,
    data: str,
    dataset: str,
    modality: str | None,
    class_name: str | None,
    split: str,
    count: int,
    guidance: tuple[float, ...],
    steps: int,
    sampler: Literal["ddim", "ddpm", "dpm++"],
    start: Literal["average", "noise"],
    reader_steps: int,
    seed: int,
    device: str,
    cache: Path,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure whether volumes generated for an age and a sex show them.

    PRIOR is the folder of a prior that learned ages or sexes ('recon train biflownet' with --set task.patient=true). A
    small network is trained on the real volumes of the data's training split to read age and sex. It reads those of
    held-out real volumes, of the same volumes encoded and decoded, and of generated ones: mean absolute error and
    correlation of the age and accuracy of the sex are printed with their intervals.
    """
    from benchmarks.cli.options import check_device
    from benchmarks.quality.patient import Wanted, as_dict, asked_for, measure, table
    from benchmarks.quality.patient_reader import ReaderTraining
    from datasets.cache import Cache
    from datasets.whole_file import whole_file
    from priors.diffusion.anatomy import CLASSES
    from priors.diffusion.load import load_prior
    from priors.generators.generator import Sampling
    from priors.weights.store import find_prior
    from recon.training.sources import load_split, parse_data

    if not data and dataset.partition(":")[0] != "phantom":
        raise click.UsageError(
            "--data: name volumes of people of known age or sex, or take --dataset phantom:age=20-90"
        )
    if out is not None and not out.parent.is_dir():
        raise InputError(f"`out` {out}: there is no folder {out.parent}")
    check_device(device)
    with input_errors(f"`prior` {prior}"):
        loaded = load_prior(find_prior(prior)).to(device)
    anatomy = _anatomy(loaded, class_name)
    own = () if loaded.anatomies == CLASSES else tuple(each.name for each in loaded.anatomies)
    sampling, training = Sampling(sampler, steps, start=start), ReaderTraining(reader_steps, seed=seed)
    asked_for(Wanted(loaded, anatomy, (), (), count))  # what the prior did not learn is said before any work
    with input_errors():
        parts = parse_data(data, dataset, modality, class_name, classes=own)
        kept = Cache(cache)
        train, held_out = (load_split(parts, each, kept, say) for each in ("train", split))
        wanted = Wanted(loaded, anatomy, train, held_out, count, guidance, sampling, training, seed=seed)
        found = measure(wanted, say)
    if out is not None:
        with whole_file(out) as temporary:
            temporary.write_text(json.dumps(as_dict(wanted, found), indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(as_dict(wanted, found), indent=2) if as_json else "\n".join(table(found)))


def _anatomy(prior: LatentPrior, name: str | None) -> Anatomy:
    """The class of a name, or the first that a prior learned."""
    from priors.diffusion.anatomy import find_class

    with input_errors("`class`"):
        anatomy = find_class(name or next(iter(prior.classes), prior.anatomies[0].name), prior.anatomies)
        prior.check_class(anatomy)
    return anatomy
