"""What looks at tables and their results: ``benchmarks list``, ``show`` and ``compare``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.cli.downstream import FIG12, FIG12_TITLE
from benchmarks.cli.memory import MEMORY_TABLE, MEMORY_TITLE
from benchmarks.cli.options import OUT
from benchmarks.cli.table11 import TABLE11, TABLE11_TITLE
from recon.cli.harmless import harmless
from recon.cli.options import GroupedCommand
from recon.errors import input_errors


@click.command("list", cls=GroupedCommand)
def list_tables() -> None:
    """List the tables that can be run, and their methods."""
    from benchmarks.ablations.spec import ablation_names, load_ablation
    from benchmarks.downstream.folds import SETTINGS
    from benchmarks.generation.spec import generation_names, load_generation_spec
    from benchmarks.measured.spec import TABLES, load_measured_spec
    from benchmarks.table.spec import load_table_spec, table_names

    click.echo(f"{MEMORY_TABLE}: {MEMORY_TITLE}")
    for name in ablation_names():
        click.echo(f"{name}: {load_ablation(name).title}; networks are trained for it: 'benchmarks ablate {name}'")
    for name in table_names():
        spec = load_table_spec(name)
        click.echo(f"{name}: {spec.title}; {', '.join(operator.name for operator in spec.operators)}")
        click.echo("  " + ", ".join(method.column for method in spec.methods))
    for name in generation_names():
        generation = load_generation_spec(name)
        click.echo(f"{name}: {generation.title}, with --prior; {', '.join(generation.methods)}")
    click.echo(f"{FIG12}: {FIG12_TITLE}, with --dataset; {', '.join(setting.key for setting in SETTINGS)}")
    click.echo(f"{TABLE11}: {TABLE11_TITLE}, with --prior")
    for name in TABLES:
        real = load_measured_spec(name)
        click.echo(f"{name}: {real.title}, with --data; {', '.join(row.name for row in real.rows)}")


@click.command(cls=GroupedCommand)
@click.argument("table")
@OUT
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "csv", "json"]),
    default="text",
    show_default=True,
    help="Format of the printed table.",
)
def show(table: str, out: Path, form: str) -> None:
    """Print the results of a table's last run; nothing is computed."""
    from benchmarks.render import documents, text
    from benchmarks.table.results import Store

    with input_errors():
        result = Store(out).table(table)
        forms = {
            "text": text.table,
            "markdown": documents.markdown,
            "latex": documents.latex,
            "csv": documents.comma_separated,
            "json": documents.by_case,
        }
        click.echo(harmless(forms[form](result)).rstrip("\n"))


@click.command(cls=GroupedCommand)
@click.argument("one")
@click.argument("other")
@click.option("--table", default="table9", show_default=True, help="Table that both methods belong to.")
@OUT
def compare(one: str, other: str, table: str, out: Path) -> None:
    """Print the paired differences of two methods, ONE minus OTHER, over a table's cases."""
    from benchmarks.render import text
    from benchmarks.table.results import Store

    with input_errors():
        click.echo(harmless(text.comparison(Store(out).table(table), one, other)))
