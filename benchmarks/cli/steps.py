"""``benchmarks steps``: what fewer sampling steps cost, of a prior and of its distilled students."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon.cli.console import say
from recon.cli.flags import FlaggedCommand, in_flags
from recon.cli.harmless import harmless
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from benchmarks.generation.real import RealData
    from priors.diffusion.anatomy import Anatomy

_PATH = click.Path(path_type=Path)


@click.command(cls=FlaggedCommand)
@click.argument("teacher", metavar="TEACHER")
@click.argument("students", metavar="[STUDENT]...", nargs=-1)
@click.option(
    "--steps",
    default="1,2,4,8,64",
    show_default=True,
    metavar="N,N,...",
    help="The teacher's numbers of steps. Distances are measured from its volumes of the largest.",
)
@click.option(
    "--data",
    multiple=True,
    type=_PATH,
    metavar="FOLDER|YAML",
    help="Real volumes, as a folder or a YAML list of data sets as for recon train. May be repeated. Without it, "
    "volumes are compared with the teacher's alone.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="train",
    show_default=True,
    help="Split of the real volumes.",
)
@click.option(
    "--class", "class_name", default="CTChestAbdomen", show_default=True, metavar="NAME", help="Class of the volumes."
)
@click.option(
    "--count",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Number of volumes of each row, with the seeds 0, 1 and so on.",
)
@click.option(
    "--features",
    default="",
    metavar="NAME|FILE",
    help="Features that are compared: ct-resnet152, efficientnet-lite0, pooled, or MedicalNet's resnet_50.pth.  "
    "[default: ct-resnet152 for CT, efficientnet-lite0 for MR]",
)
@click.option(
    "--size",
    default=None,
    metavar="X,Y,Z",
    help="Number of voxels of all volumes.  [default: the size that all were trained on]",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Device that computes."
)
@click.option(
    "--cache", type=_PATH, default=None, help="Folder for prepared volumes.  [default: generation/cache in --out]"
)
@click.option("--out", type=_PATH, default=Path("benchmark-results"), show_default=True, help="Folder for the results.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def steps(
    teacher: str,
    students: tuple[str, ...],
    steps: str,
    data: tuple[Path, ...],
    split: str,
    class_name: str,
    count: int,
    features: str,
    size: str | None,
    device: str,
    cache: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Measure what fewer sampling steps cost: TEACHER at several numbers of steps, and each STUDENT at its own.

    Students are made by 'recon train distilled --base TEACHER'. The same seed makes the same volume of all of them, but
    for what the fewer steps cost: this is the distance, in HU or magnitudes, from the teacher's volume of many steps.
    With --data, the Fréchet distance and the discrepancy (MMD) from real volumes are measured too, with their floor.
    """
    import torch

    from benchmarks.cli.generation import read_size
    from benchmarks.cli.options import check_device
    from benchmarks.generation.steps.files import steps_text, write_steps
    from benchmarks.generation.steps.run import StepsRequest, run_steps
    from priors.diffusion.anatomy import find_class
    from priors.diffusion.load import load_prior
    from priors.weights.store import find_prior

    check_device(device)
    with input_errors(f"`teacher` {teacher}"):
        known = load_prior(find_prior(teacher)).anatomies
    with input_errors("`class`"):
        anatomy = find_class(class_name, known)
    if features and not data:
        raise InputError("`features`: has no effect without `data`: no real volumes to compare with")
    request = StepsRequest(
        teacher,
        students,
        _numbers(steps),
        anatomy,
        read_size(size),
        _real(data, split, anatomy, cache or out / "generation" / "cache"),
        count,
        features,
        out,
        torch.device(device),
    )
    finished = run_steps(request, lambda line: say(in_flags(line)))
    written = write_steps(finished, out / "steps")
    plain = json.dumps(finished.result.to_dict(), indent=2)
    click.echo(plain if as_json else harmless(in_flags(steps_text(finished.result))))
    click.echo(f"written: {', '.join(click.format_filename(path) for path in written)}", err=True)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise InputError(f"`steps` {text}: must be whole numbers from 1, such as 1,2,4,64")
    return found


def _real(data: tuple[Path, ...], split: str, anatomy: Anatomy, cache: Path) -> RealData | None:
    from benchmarks.generation.real import RealData, parse_parts

    return RealData(parse_parts([str(each) for each in data], anatomy), split, cache) if data else None
