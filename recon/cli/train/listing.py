"""What ``--set`` takes, for one network."""

from __future__ import annotations

import textwrap
from typing import Any

import click

WIDTH = 100
INDENT = " " * 4


def show_settings(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """The callback of ``--settings``: print and leave."""
    if value and not ctx.resilient_parsing:
        click.echo(settings_text(str(ctx.info_name)))
        ctx.exit()


def settings_text(network: str) -> str:
    """Every setting of a network's recipes, with unit and default."""
    from recon.training.settings.listing import list_settings

    lines = [f"What --set takes for {network}, as KEY=VALUE; recipes set them too.", ""]
    for each in list_settings(network):
        default = f"default {each.default}" if each.default else "no default"
        unit = f", {each.unit}" if each.unit else ""
        lines.append(f"{each.key}: {each.wanted}{unit}; {default}")
        sentence = f"{each.description[:1].upper()}{each.description[1:]}."
        lines.append(textwrap.fill(sentence, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))
    return "\n".join(lines)


def settings_option() -> Any:
    """``--settings``."""
    from recon.cli.options import option

    return option(
        "--settings",
        "list_settings",
        group="Run",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show_settings,
        help="List what --set takes, with units and defaults, and leave.",
    )
