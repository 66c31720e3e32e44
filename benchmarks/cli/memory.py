"""Table I for the terminal: memory of joint-decoder training."""

from __future__ import annotations

import json
from typing import Any

import click

MEMORY_TABLE = "table1"
MEMORY_TITLE = "memory of joint-decoder training, naive and efficient"


def memory_table(device: str, as_json: bool) -> None:
    """Count, on a GPU measure as well, and print beside the paper's figures."""
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
