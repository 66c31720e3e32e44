"""``benchmarks run``: the paper's tables, measured here."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import click

TABLES = ("table1",)


@click.command()
@click.argument("table", type=click.Choice(TABLES))
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="cuda also measures."
)
@click.option("--json", "as_json", is_flag=True, help="Print rows as JSON.")
def run(table: str, device: str, as_json: bool) -> None:
    """Measure a table of the paper; the paper's own figures are printed apart, as the paper's.

    table1: memory of joint-decoder training, naive and efficient, and the largest batch on 80 GB.
    """
    import torch

    from benchmarks.tables import table1

    if device == "cuda" and not torch.cuda.is_available():
        raise click.BadParameter("this machine has no CUDA device", param_hint="--device")
    rows = table1.run(device)
    paper = published(table)
    if as_json:
        click.echo(json.dumps({"ours": rows, "paper": paper}, indent=2))
        return
    click.echo(f"Table I: {paper['title']}")
    click.echo("Counted here, float32, autoencoder alone (no discriminator, no perceptual network):")
    _print(rows)
    click.echo("The paper's own figures:")
    _print(paper["rows"])


def published(table: str) -> dict[str, Any]:
    """A table as the paper prints it."""
    import yaml

    text = resources.files("benchmarks").joinpath("published.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)[table]
    return content


def _print(rows: list[dict[str, Any]]) -> None:
    keys = [key for key in rows[0] if key not in ("name", "size")]
    click.echo("  size   " + "".join(f"{key.replace('_', ' '):>22}" for key in keys))
    for row in rows:
        click.echo(f"  {int(row['size']):>3}³   " + "".join(f"{_figure(row[key]):>22}" for key in keys))


def _figure(value: float | None) -> str:
    if value is None:
        return "does not fit"
    return str(int(value)) if float(value).is_integer() else f"{value:.2f}"
