"""``benchmarks run``: tables of methods, measured here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.cli.downstream import (
    FIG12,
    OF_SEGMENTATION,
    SEGMENTATION_OPTIONS,
    TAKEN_BY_FIG12,
    SegmentationOptions,
    segmentation_table,
)
from benchmarks.cli.generation import OWN, TAKEN, GenerationOptions, generation_table
from benchmarks.cli.measured import OF_REAL_SCANS, real_table
from benchmarks.cli.memory import MEMORY_TABLE, memory_table
from benchmarks.cli.options import DEVICE, JSON, OUT, check_device, datasets_option, pair
from benchmarks.cli.table11 import OF_CLASSIFIERS, TABLE11, TAKEN_BY_TABLE11, classifier_options, classifier_table
from recon.cli.console import say
from recon.cli.flags import in_flags
from recon.cli.harmless import harmless
from recon.cli.options import GroupedCommand, all_of, option
from recon.errors import InputError, RunError, input_errors

if TYPE_CHECKING:
    from benchmarks.table.runner import Execute, Request

OF_MEMORY = ("table", "device", "as_json")
"""What the memory table takes: it counts, and looks at no data."""


@dataclass(frozen=True)
class Options:
    """What a table of methods is told."""

    datasets: tuple[str, ...]
    split: str | None
    cases: int | None
    methods: str
    weights: tuple[str, ...]
    jobs: int | None
    scheduler: str
    out: Path


@click.command(cls=GroupedCommand)
@click.argument("table")
@all_of(
    datasets_option("the shipped sample"),
    option(
        "--data",
        group="Data",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FOLDER|YAML",
        help="Folder that holds the files of real-ct or real-mr; real volumes of the tables of generators, as a folder "
        "or a YAML list of data sets as for recon train. May be repeated.",
    ),
    option(
        "--split",
        group="Data",
        type=click.Choice(["train", "val", "test"]),
        default=None,
        help="Split whose cases are measured.  [default: test; all cases of a folder without splits; train for "
        "generators]",
    ),
    option(
        "--cases", group="Data", type=click.IntRange(1), default=None, help="Largest number of cases.  [default: all]"
    ),
    option(
        "--methods",
        group="Methods",
        default="",
        metavar="A,B",
        help="Methods of the table to measure, or settings of fig12, separated by commas.  [default: all]",
    ),
    option(
        "--weights",
        group="Methods",
        multiple=True,
        metavar="METHOD=FILE",
        help="Weights file of a method, in place of the installed weights. May be repeated.",
    ),
    option(
        "--class",
        "class_name",
        group="Generators",
        default=None,
        metavar="NAME",
        help="Class of the volumes.  [default: CTChestAbdomen; MRT1Brain for table4]",
    ),
    option(
        "--prior",
        "priors",
        group="Generators",
        multiple=True,
        metavar="NAME|FOLDER",
        help="Trained generator: a prior of 'recon weights list', or the folder of a 'recon train'. Its row is named "
        "after its method. May be repeated. For fig12, once: the prior of --head.  [default for fig12: found by hash]",
    ),
    option(
        "--count",
        group="Generators",
        type=click.IntRange(1),
        default=16,
        help="Number of volumes of each method, with the seeds 0, 1 and so on.",
    ),
    option(
        "--features",
        group="Generators",
        default="",
        metavar="NAME|FILE",
        help="Features that are compared: ct-resnet152, efficientnet-lite0, pooled, or MedicalNet's resnet_50.pth.  "
        "[default: ct-resnet152 for CT, efficientnet-lite0 for MR]",
    ),
    option(
        "--size",
        group="Generators",
        default=None,
        metavar="X,Y,Z",
        help="Number of voxels of all volumes.  [default: the size that all were trained on]",
    ),
    option(
        "--steps",
        group="Generators",
        multiple=True,
        metavar="[METHOD=]N",
        help="Number of sampling steps of a method, or of all that have steps. May be repeated.  [default: each "
        "method's own]",
    ),
    option(
        "--cache",
        group="Generators",
        type=click.Path(path_type=Path),
        default=None,
        help="Folder for prepared volumes, such as that of the trainings.  [default: generation/cache in --out]",
    ),
    *SEGMENTATION_OPTIONS,
    *classifier_options(),
    option(
        "--jobs",
        group="Run",
        type=click.IntRange(1),
        default=None,
        help="Number of processes that run at the same time.  [default: as cores and memory allow]",
    ),
    option(
        "--scheduler",
        group="Run",
        default="",
        metavar="ADDRESS",
        help="Address of a Dask scheduler whose workers run the jobs. It runs the code of whoever can connect: bind it "
        "to the loopback interface, or use TLS (docs/cluster.md).  [default: run them here]",
    ),
    DEVICE,
    OUT,
    JSON,
)
@click.pass_context
def run(ctx: click.Context, table: str, data: tuple[Path, ...], device: str, as_json: bool, **options: Any) -> None:
    """Measure the methods of a table: one of the paper's, or one of your own from a YAML file.

    \b
    table1   memory of joint-decoder training, naive and efficient
    table2   generators: training time, time, memory and operations of a volume
    table3, table4
             generators: volumes beside real ones of --data, CT and MR
    fig6     generators: features of all volumes in two dimensions
    fig12    generated volumes as training data of nnU-Net, which is called
    table9   CT from 40 fan-beam views
    table10  MR at acceleration 8, two masks
    table11  generated volumes as training data of classifiers
    realistic-svct, realistic-mri
             few to very few measurements, noise from none to strong
    real-ct  measured CT and CT of finer objects, of files in --data
    real-mr  measured MR k-space, of files in --data

    Tables 5 to 8 compare networks that are trained for them; 'benchmarks ablate' makes these.

    Without --dataset, the shipped sample is used. A run that was stopped continues where it was: finished cells are
    kept until their data, operator, method, code or weights change. The paper's own figures are printed apart.
    """
    from benchmarks.ablations.spec import ablation_names
    from benchmarks.generation.spec import generation_names
    from benchmarks.measured.spec import TABLES as REAL_TABLES

    told = {name: options.pop(name) for name in OWN}
    of_segmentation = {name: options.pop(name) for name in OF_SEGMENTATION}
    of_classifiers = {name: options.pop(name) for name in OF_CLASSIFIERS}

    check_device(device)
    if table in ablation_names():
        raise InputError(f"{table}: networks are trained for it; 'benchmarks ablate {table}' does that")
    if table == MEMORY_TABLE:
        _refuse_others(ctx, OF_MEMORY, f"has no effect on {MEMORY_TABLE}, which looks at no data")
        memory_table(device, as_json)
        return
    if table in REAL_TABLES:
        _refuse_others(ctx, OF_REAL_SCANS, f"has no effect on {table}, whose scans are files in --data")
        real_table(table, data, options["methods"], options["out"], as_json)
        return
    if table in generation_names():
        _refuse_others(ctx, TAKEN, f"has no effect on {table}, which compares generators")
        given = GenerationOptions(data, options["split"], device, options["out"], as_json, **told)
        generation_table(table, given)
        return
    if table == FIG12:
        _refuse_others(ctx, TAKEN_BY_FIG12, f"has no effect on {FIG12}, which trains nnU-Net")
        shared = {name: options[name] for name in ("datasets", "methods", "jobs", "out")} | {"priors": told["priors"]}
        segmentation_table(SegmentationOptions(**shared, **of_segmentation, device=device, as_json=as_json))
        return
    if table == TABLE11:
        _refuse_others(ctx, TAKEN_BY_TABLE11, f"has no effect on {TABLE11}, which trains classifiers")
        shared = {name: told[name] for name in ("priors", "count", "steps", "cache")}
        classifier_table(data, options["datasets"], device, options["out"], as_json, **shared, **of_classifiers)
        return
    everything = tuple(parameter.name or "" for parameter in ctx.command.params)
    _refuse_others(ctx, tuple(name for name in everything if name not in OF_SEGMENTATION), f"is for {FIG12}")
    _refuse_others(ctx, tuple(name for name in everything if name not in OF_CLASSIFIERS), f"is for {TABLE11}")
    others = tuple(name for name in everything if name not in OWN)
    _refuse_others(ctx, others, f"is for {', '.join(generation_names())}; {table} compares methods of reconstruction")
    if data:
        raise InputError(f"`data`: is for {' and '.join(REAL_TABLES)}; {table} takes a `dataset`")
    _method_table(table, device, as_json, Options(**options))


def _refuse_others(ctx: click.Context, taken: tuple[str, ...], why: str) -> None:
    """Options that a table has no use for are an error."""
    for parameter in ctx.command.params:
        given = ctx.get_parameter_source(parameter.name or "") is not click.core.ParameterSource.DEFAULT
        if given and parameter.name not in taken:
            raise click.UsageError(f"{parameter.opts[0]}: {why}", ctx)


def _method_table(table: str, device: str, as_json: bool, given: Options) -> None:
    from benchmarks.render import documents, text
    from benchmarks.render.files import write_all
    from benchmarks.render.grid import reasons
    from benchmarks.table.runner import run_table

    result = run_table(_request(table, device, given), _executor(given), say)
    if not result.cells:
        raise RunError(f"{table}: no method has a result; {'; '.join(map(': '.join, reasons(result)[:3]))}")
    written = write_all(result, given.out)
    click.echo(documents.by_case(result) if as_json else harmless(in_flags(text.table(result))))
    click.echo(f"written: {', '.join(click.format_filename(path) for path in written)}", err=True)


def _request(table: str, device: str, given: Options) -> Request:
    from benchmarks.table.runner import Request, Source
    from benchmarks.table.spec import load_table_spec

    with input_errors():
        spec = load_table_spec(table)
    return Request(
        _name_of(table),
        spec,
        tuple(Source(name, Path(path).absolute() if path else None) for name, path in map(pair, given.datasets)),
        given.split,
        given.out.absolute(),  # the folder of this process is not that of a worker elsewhere
        given.cases,
        tuple(name.strip() for name in given.methods.split(",") if name.strip()),
        tuple((method, str(Path(file).absolute())) for method, file in map(pair, given.weights)),
        device,
    )


def _name_of(table: str) -> str:
    """The name of a table's results: a file of one's own is not taken for the paper's table of that name."""
    from benchmarks.table.spec import table_names

    name = Path(table).stem
    return f"own-{name}" if table != name and name in table_names() else name


def _executor(given: Options) -> Execute:
    """What runs the cells: processes here, or a Dask cluster."""
    if given.scheduler:
        if given.jobs is not None:
            raise InputError("`jobs`: has no effect with `scheduler`, whose workers run the cells")
        from benchmarks.table.dask_execute import dask_executor

        return dask_executor(given.scheduler)
    from benchmarks.table.execute import default_jobs, run_jobs

    processes = given.jobs or default_jobs()

    def execute(todo: Any, on_done: Any) -> None:
        run_jobs(todo, processes, on_done)

    return execute
