"""``benchmarks run`` and what looks at its results: the paper's tables, measured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.flags import in_flags
from recon.errors import InputError, RunError

if TYPE_CHECKING:
    from recon.training.sources import DataPart

MEMORY_TABLE = "table1"

_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("benchmark-results"),
    show_default=True,
    help="Folder of results; what is in it is not computed again.",
)


@click.command()
@click.argument("table")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="NAME=PATH",
    help="kits19=PATH, fastmri=PATH, folder=PATH, phantom; may be repeated.  [default: the shipped sample]",
)
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@click.option("--cases", type=click.IntRange(1), default=None, help="At most so many cases.")
@click.option("--methods", default="", metavar="A,B", help="Of the table's methods, these.")
@click.option("--weights", multiple=True, metavar="METHOD=FILE", help="In place of those that are installed.")
@click.option("--jobs", type=click.IntRange(1), default=None, help="Processes at once.  [default: by cores and memory]")
@click.option("--scheduler", default="", metavar="ADDRESS", help="Dask scheduler that runs the jobs on its workers.")
@click.option(
    "--recipe", default="starter", show_default=True, metavar="NAME|FILE", help="table5 to 8: of every network."
)
@click.option("--steps", type=click.IntRange(1), default=None, help="table5 to 8: of every training.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NETWORK:KEY=VALUE",
    help="table5 to 8: replace a setting of a recipe, such as biflownet:task.crop=[8,16,16].",
)
@click.option(
    "--data", default="", metavar="FILE", help="table5 to 8: YAML list of data sets as for recon train, not --dataset."
)
@click.option(
    "--base",
    default="",
    metavar="NAME|FOLDER",
    help="table5, table6: begin as this prior's autoencoder; table7, table8: build upon it.  [default: train one anew]",
)
@click.option("--perceptual", default="", metavar="FILE", help="table6: the perceptual network.")
@click.option("--samples", type=click.IntRange(2), default=8, show_default=True, help="table7, table8: new volumes.")
@_out
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where to compute."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def run(table: str, device: str, as_json: bool, **options: Any) -> None:
    """Measure a table of the paper, or one of your own from a YAML file.

    \b
    table1   memory of joint-decoder training, naive and efficient
    table5   joint decoder; table6 losses of the autoencoder; table7 intra-patch flow; table8 encoding:
             networks are trained for these, at the recipe that you name
    table9   CT from 40 fan-beam views
    table10  MR at acceleration 8, two masks

    Without --dataset the shipped sample is taken. A run that is stopped goes on where it was; finished cells are kept
    until their data, operator, method, code or weights change. The paper's own figures are printed apart.
    """
    import torch

    from benchmarks.ablations.spec import ablation_names

    if device == "cuda" and not torch.cuda.is_available():
        raise click.BadParameter("this machine has no CUDA device", param_hint="--device")
    with one_line():
        if table == MEMORY_TABLE:
            _memory_table(device, as_json)
        elif table in ablation_names():
            _ablation_table(table, device, as_json, **options)
        else:
            _method_table(table, device, as_json, **options)


def _ablation_table(
    table: str,
    device: str,
    as_json: bool,
    datasets: tuple[str, ...],
    split: str,
    out: Path,
    recipe: str,
    steps: int | None,
    settings: tuple[str, ...],
    perceptual: str,
    samples: int,
    data: str,
    base: str,
    **_: Any,
) -> None:
    from dataclasses import asdict

    from benchmarks.ablations.ablation import Ablation, as_text, run_ablation
    from benchmarks.ablations.spec import load_ablation
    from priors.weights.store import find_prior
    from recon.training.run import Machine

    spec = load_ablation(table)
    parts = _ablation_data(datasets, data)
    machine = Machine("cuda" if device == "cuda" else "cpu")
    prior = find_prior(base) if base else None
    asked = Ablation(table, spec, parts, out, split, recipe, steps, settings, perceptual, samples, machine, prior)
    lines = run_ablation(asked, lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return
    names = ", ".join(part.path.name if part.path else part.dataset for part in parts)
    begun = f", from {base}" if base else ""
    click.echo(f"on {names}, split {split}, recipe {recipe}{begun}; not the paper's data\n")
    click.echo(as_text(spec, table, lines))
    click.echo(f"written: {click.format_filename(out / f'{table}.json')}", err=True)


def _ablation_data(datasets: tuple[str, ...], data: str) -> list[DataPart]:
    """What networks are trained and measured on."""
    from recon.training.sources import DataPart, parse_data

    if data and datasets:
        raise InputError("--data and --dataset: give one of them")
    if data:
        return parse_data(data, "folder", None, None)
    given = [_pair(each) for each in datasets] or [(_PHANTOMS, "")]
    return [
        DataPart(name, Path(path) if path else None, None if name.startswith("phantom") else "CT")
        for name, path in given
    ]


_PHANTOMS = "phantom:count=12,size=64x64x64,spacing=4x5x5"


def _method_table(
    table: str,
    device: str,
    as_json: bool,
    datasets: tuple[str, ...],
    split: str,
    cases: int | None,
    methods: str,
    weights: tuple[str, ...],
    jobs: int | None,
    scheduler: str,
    out: Path,
    **_: Any,
) -> None:
    from benchmarks.render import documents, text
    from benchmarks.render.files import write_all
    from benchmarks.table.execute import default_jobs, run_jobs
    from benchmarks.table.runner import Request, Source, run_table
    from benchmarks.table.spec import load_table_spec
    from recon.errors import input_errors

    with input_errors("benchmarks run"):
        spec = load_table_spec(table)
    sources = tuple(Source(name, Path(path) if path else None) for name, path in map(_pair, datasets))
    names = tuple(name.strip() for name in methods.split(",") if name.strip())
    chosen = tuple(_pair(each) for each in weights)
    name = Path(table).stem
    request = Request(name, spec, sources, split, out, cases, names, chosen, device)
    if scheduler:
        from benchmarks.table.dask_execute import dask_executor

        execute = dask_executor(scheduler)
    else:
        processes = jobs or default_jobs()

        def execute(todo: Any, on_done: Any) -> None:
            run_jobs(todo, processes, on_done)

    result = run_table(request, execute, lambda line: click.echo(line, err=True))
    written = write_all(result, out)
    click.echo(documents.by_case(result) if as_json else text.table(result))
    click.echo(f"written: {', '.join(click.format_filename(path) for path in written)}", err=True)


_ALIASES = {"fastmri": "fastmri"}


def _pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE``; the settings of a generated data set (``phantom:count=8``) belong to its name."""
    name, _, value = text.partition("=")
    if ":" in name:
        return text, ""
    return _ALIASES.get(name, name), value


@click.command("list")
def list_tables() -> None:
    """The tables that can be run, and their methods."""
    from benchmarks.ablations.spec import ablation_names, load_ablation
    from benchmarks.table.spec import load_table_spec, table_names

    click.echo(f"{MEMORY_TABLE}: memory of joint-decoder training, naive and efficient")
    for name in ablation_names():
        click.echo(f"{name}: {load_ablation(name).title}; networks are trained for it")
    for name in table_names():
        spec = load_table_spec(name)
        click.echo(f"{name}: {spec.title}; {', '.join(operator.name for operator in spec.operators)}")
        click.echo("  " + ", ".join(method.column for method in spec.methods))


@click.command()
@click.argument("table")
@_out
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "csv", "json"]),
    default="text",
    show_default=True,
)
def show(table: str, out: Path, form: str) -> None:
    """Print a table as it was last run; nothing is computed."""
    from benchmarks.render import documents, text
    from benchmarks.table.results import Store

    with one_line():
        result = Store(out).table(table)
        forms = {
            "text": text.table,
            "markdown": documents.markdown,
            "latex": documents.latex,
            "csv": documents.comma_separated,
            "json": documents.by_case,
        }
        click.echo(forms[form](result).rstrip("\n"))


@click.command()
@click.argument("one")
@click.argument("other")
@click.option("--table", default="table9", show_default=True)
@_out
def compare(one: str, other: str, table: str, out: Path) -> None:
    """Paired differences of two methods over a table's cases: ONE less OTHER."""
    from benchmarks.render import text
    from benchmarks.table.results import Store

    with one_line():
        click.echo(text.comparison(Store(out).table(table), one, other))


class _WrongInput(click.ClickException):
    exit_code = 2


class one_line:  # noqa: N801  (a context manager, named as one reads it)
    """Wrong input becomes one line and exit code 2, a failed run exit code 1."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, InputError | ValueError):
            raise _WrongInput(in_flags(" ".join(str(error).split()))) from error
        if isinstance(error, RunError | OSError):
            raise click.ClickException(in_flags(" ".join(str(error).split()))) from error


def _memory_table(device: str, as_json: bool) -> None:
    from benchmarks.speed import table1
    from benchmarks.table.published import published

    rows, paper = table1.run(device), published(MEMORY_TABLE)
    assert paper is not None
    if as_json:
        click.echo(json.dumps({"ours": rows, "paper": paper}, indent=2))
        return
    click.echo(f"Table I: {paper['title']}")
    click.echo("Counted here, float32, autoencoder alone (no discriminator, no perceptual network):")
    _print(rows)
    click.echo("The paper's own figures:")
    _print(paper["rows"])


def _print(rows: list[dict[str, Any]]) -> None:
    keys = [key for key in rows[0] if key not in ("name", "size")]
    click.echo("  size   " + "".join(f"{key.replace('_', ' '):>22}" for key in keys))
    for row in rows:
        click.echo(f"  {int(row['size']):>3}³   " + "".join(f"{_figure(row[key]):>22}" for key in keys))


def _figure(value: float | None) -> str:
    if value is None:
        return "does not fit"
    return str(int(value)) if float(value).is_integer() else f"{value:.2f}"
