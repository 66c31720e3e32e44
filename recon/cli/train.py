"""``recon train``: every network of the suite, ControlNet heads on a new geometry included."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.console import say
from recon.cli.options import PATH, GroupedCommand, all_of, option
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from priors.training.loop import Progress
    from recon.acquisition.tasks import Task
    from recon.training.run import Machine, Request

NETWORKS = (
    "autoencoder",
    "biflownet",
    "controlnet",
    "refiner",
    "fbpconv",
    "unet",
    "dolce",
    "adm",
    "primal-dual",
    "modl",
)

data_options = all_of(
    option(
        "--data",
        group="Data",
        default="",
        metavar="PATH",
        help="Folder of volumes, or a YAML file that lists several data sets, each with its class.",
    ),
    option(
        "--dataset",
        group="Data",
        default="folder",
        metavar="NAME",
        help="What the folder holds: folder, kits19, fastmri; sample and phantom[:count=8,size=...] need none.",
    ),
    option("--modality", group="Data", type=click.Choice(["CT", "MR"], case_sensitive=False), help="Of NIfTI files."),
    option(
        "--manifest",
        group="Data",
        type=PATH,
        default=None,
        metavar="FILE",
        help="As 'benchmarks data check' wrote it: the data are compared with it, and the weights name its hash.",
    ),
    option("--class", "class_name", group="Data", default=None, metavar="NAME", help="Anatomy, as in recon generate."),
    option(
        "--cache",
        group="Data",
        type=PATH,
        default=None,
        metavar="DIR",
        help="For what is computed once; several runs may share it.  [default: cache beside --out]",
    ),
)

task_options = all_of(
    option(
        "--task",
        group="Task",
        type=click.Choice(["svct", "mri"]),
        default=None,
        help="What a head or a method learns to undo.",
    ),
    option(
        "--geometry",
        group="Task",
        default="paper40",
        metavar="NAME|FILE",
        help="svct: preset or a YAML file; distances in mm, angles in degrees.",
    ),
    option("--views", group="Task", default=None, metavar="N|N-M", help="svct: number of views, or a range of them."),
    option(
        "--photons",
        group="Task",
        default=None,
        metavar="N-M",
        help="svct: range of photons per detector cell; half of the scans stay noise-free.",
    ),
    option(
        "--mask",
        "masks",
        group="Task",
        multiple=True,
        metavar="KIND",
        help="mri: kind of mask; may be repeated.  [default: poisson]",
    ),
    option("--accel", group="Task", default="8", metavar="R|R-S", help="mri: nominal acceleration, or a range."),
    option("--noise", group="Task", type=float, default=0.0, help="mri: largest noise over the volume's maximum."),
    option(
        "--phase", group="Task", type=float, default=0.0, help="mri: largest smooth random phase of an image, radians."
    ),
    option(
        "--condition",
        "conditions",
        group="Task",
        multiple=True,
        metavar="METHOD",
        help="Method whose image the network is shown; may be repeated.  [default: fbp, zero-filled]",
    ),
    option(
        "--reference",
        "references",
        group="Task",
        multiple=True,
        metavar="METHOD",
        help="Method whose image a head's samples change; repeated: the mean of several.  [default: last condition]",
    ),
)

run_options = all_of(
    option(
        "--recipe", group="Run", default="starter", metavar="NAME|FILE", help="paper, starter, tiny, or a YAML file."
    ),
    option(
        "--set",
        "settings",
        group="Run",
        multiple=True,
        metavar="KEY=VALUE",
        help="Replace a setting of the recipe, such as optimizer.lr=1e-4. May be repeated.",
    ),
    option(
        "--out",
        group="Run",
        type=PATH,
        required=True,
        metavar="DIR",
        help="Folder for checkpoints, logs and weights; a run that is there is gone on with.",
    ),
    option(
        "--base", group="Run", type=PATH, default=None, metavar="DIR|NAME", help="Prior that the network builds upon."
    ),
    option(
        "--head",
        group="Run",
        type=PATH,
        default=None,
        metavar="FILE",
        help="refiner: head whose samples it learns from, for the head's task.",
    ),
    option("--warm-start", group="Run", type=PATH, default=None, metavar="FILE", help="Weights to begin with."),
    option(
        "--stage", group="Run", type=click.IntRange(1, 2), default=1, help="autoencoder: patches, or joint decoder."
    ),
    option("--licence", group="Run", default="", metavar="TEXT", help="Under which the weights may be used."),
    option(
        "--device", group="Run", default="auto", metavar="DEVICE", help="auto (GPUs where there are some), cpu or cuda."
    ),
    option("--devices", group="Run", type=click.IntRange(1), default=1, help="Processes on this node, one a GPU."),
    option(
        "--nodes", group="Run", type=click.IntRange(1), default=1, help="Nodes; start the command on each by torchrun."
    ),
    option("--dry-run", group="Run", is_flag=True, help="Print parameters, memory and steps per epoch; train nothing."),
    option("-q", "--quiet", group="Run", is_flag=True, help="No progress; print only the weights' path."),
)


@click.command(cls=GroupedCommand)
@click.argument("network", type=click.Choice(NETWORKS))
@run_options
@data_options
@task_options
def train(network: str, dry_run: bool, quiet: bool, device: str, devices: int, nodes: int, **options: Any) -> None:
    """Train a network, or go on with a run that was stopped.

    \b
    recon train autoencoder --data scans --modality CT --recipe starter --out runs/ae
    recon train biflownet --base runs/ae --data scans --modality CT --out runs/prior
    recon train controlnet --task svct --geometry my_scanner.yaml --data scans --modality CT \\
        --base runs/prior --out runs/head
    """
    from recon.training.run import check_out

    check_out(options["out"], network)
    request = _request(network, **options)
    machine = _machine(device, devices, nodes)

    def report(text: str) -> None:
        say(text, quiet)

    if dry_run:
        _print_estimate(request, report)
        return
    from priors.training.loop import Stopped
    from recon.training.run import train as run

    with training_bar(network, quiet) as on_step:
        try:
            path = run(request, machine, report, on_step)
        except Stopped as stop:
            say(f"recon: {stop}", quiet=False)
            sys.exit(130)
    if path:
        click.echo(click.format_filename(path))


def _request(
    network: str,
    recipe: str,
    settings: tuple[str, ...],
    out: Path,
    base: Path | None,
    warm_start: Path | None,
    head: Path | None,
    stage: int,
    licence: str,
    data: str,
    dataset: str,
    modality: str | None,
    class_name: str | None,
    manifest: Path | None,
    cache: Path | None,
    task: str | None,
    **asked: Any,
) -> Request:
    """The options as one value, checked."""
    from priors.training.recipe import load_recipe
    from recon.training.run import Request
    from recon.training.sources import parse_data

    with input_errors("--recipe"):
        settled = load_recipe(network, recipe, settings)
    if not data and dataset.partition(":")[0] not in ("sample", "phantom"):
        raise click.UsageError("--data: name a folder of volumes, or a YAML file that lists data sets")
    return Request(
        network,
        settled,
        parse_data(data, dataset, modality, class_name, manifest),
        out,
        cache or out.parent / "cache",
        _prior_folder(base),
        warm_start,
        stage,
        _task(task, settled.task.get("conditions"), **asked) if head is None else _task_of(head, task),
        head,
        licence,
        recipe,
    )


def _prior_folder(base: Path | None) -> Path | None:
    """A folder, or the name of a prior that is installed."""
    if base is None or base.is_dir():
        return base
    from priors.weights.store import find_prior

    with input_errors(f"--base {base}"):
        return Path(find_prior(str(base)))


def _task(
    task: str | None,
    recipe_conditions: list[str] | None,
    geometry: str,
    views: str | None,
    photons: str | None,
    masks: tuple[str, ...],
    accel: str,
    noise: float,
    phase: float,
    conditions: tuple[str, ...],
    references: tuple[str, ...],
) -> Task | None:
    if task is None:
        return None
    from recon.acquisition.tasks import CTTask, MRTask
    from recon.methods import get_method

    shown = conditions or tuple(recipe_conditions or ())
    for given, names in (("--condition", conditions), ("--reference", references)):
        for name in names:
            get_method("MR" if task == "mri" else "CT", name, given)
    if task == "mri":
        low, high = _range(accel, "--accel")
        with input_errors("--mask"):
            return MRTask(masks or ("poisson",), (low, high), noise, phase, shown or ("zero-filled",), references)
    from physics.ct.protocol import load_protocol

    with input_errors(f"--geometry {geometry}"):
        scanner = load_protocol(geometry)
    counts = _range(views, "--views") if views else None
    return CTTask(
        scanner,
        (int(counts[0]), int(counts[1])) if counts else None,
        _range(photons, "--photons") if photons else None,
        shown or ("fbp",),
        references,
    )


def _task_of(head: Path, task: str | None) -> Task:
    """A refiner's task is its head's."""
    from priors.weights.card import read_card
    from recon.acquisition.tasks import task_from_dict

    if task is not None:
        raise click.UsageError("--task: the head says what it is for; leave it away beside --head")
    with input_errors("--head"):
        card = read_card(head)
        if card.kind != "controlnet":
            raise ValueError(f"{head}: weights of kind {card.kind}, where a ControlNet head is wanted")
    return task_from_dict(card.config["task"])


def _range(text: str, option: str) -> tuple[float, float]:
    """``20-80`` or ``40`` as lowest and highest."""
    low, dash, high = text.partition("-")
    try:
        values = float(low), float(high if dash else low)
    except ValueError:
        raise click.UsageError(f"{option} {text}: must be a number or a range such as 20-80") from None
    if not 0 < values[0] <= values[1]:
        raise click.UsageError(f"{option} {text}: must be positive, the lower number first")
    return values


def _machine(device: str, devices: int, nodes: int) -> Machine:
    from recon.run.devices import select_device
    from recon.training.run import Machine

    place = select_device(device)
    if place.type == "cuda":
        import torch

        if devices > torch.cuda.device_count():
            raise InputError(f"--devices {devices}: this machine has {torch.cuda.device_count()} GPUs")
    return Machine(place.type, devices, nodes)


def _print_estimate(request: Request, report: Callable[[str], None]) -> None:
    from recon.training.run import estimate

    found = estimate(request, report)
    click.echo(f"{found.parameters:,} parameters to train, {found.frozen:,} frozen")
    click.echo(f"{found.memory_gb:.2f} GB in float32 for weights, optimiser and activations of one process")
    click.echo(f"{found.items} samples of {found.volumes} volumes; {found.steps_per_epoch:.1f} steps per epoch")
    click.echo(f"{request.recipe.steps} steps of {request.recipe.batch} samples")


@contextmanager
def training_bar(network: str, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar with loss, samples per second, memory and time left on a terminal; a line now and then elsewhere."""
    if quiet:
        yield lambda progress: None
        return
    if not sys.stderr.isatty():
        yield _line_now_and_then
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = [
        TextColumn(network),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.4f}  {task.fields[rate]:.1f} samples/s"),
        TextColumn("{task.fields[memory]:.1f} GB"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: list[TaskID] = []

        def show(progress: Progress) -> None:
            fields = {
                "loss": progress.losses["total"],
                "rate": progress.samples_per_s,
                "memory": progress.memory_gb,
            }
            if not tasks:
                tasks.append(bars.add_task("", total=progress.steps, **fields))  # type: ignore[arg-type]
            bars.update(tasks[0], completed=progress.step, **fields)  # type: ignore[arg-type]

        yield show


def _line_now_and_then(progress: Progress) -> None:
    """About twenty lines over a run."""
    every = max(1, progress.steps // 20)
    if progress.step % every == 0 or progress.step == progress.steps:
        terms = ", ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        pace = f"{progress.samples_per_s:.2f} samples/s, {progress.memory_gb:.1f} GB"
        click.echo(f"step {progress.step} of {progress.steps}: {terms}; {pace}", err=True)
