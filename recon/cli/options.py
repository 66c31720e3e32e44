"""Options that commands share, shown by ``--help`` in groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recon.cli.flags import FlaggedCommand

if TYPE_CHECKING:
    from recon.scan.measurement import Protocol
    from recon.scan.volume import Modality

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

Function = TypeVar("Function", bound=Callable[..., Any])


class GroupedOption(click.Option):
    """An option that ``--help`` lists under a heading."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(FlaggedCommand):
    """A command whose ``--help`` lists its options under headings, in the order they were declared."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record:
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def option(*names: str, group: str, **settings: Any) -> Callable[[Function], Function]:
    """``click.option`` under a heading, with its default shown."""
    return click.option(*names, cls=GroupedOption, group=group, show_default=True, **settings)


def all_of(*options: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Several options as one decorator, listed in the given order."""

    def decorate(function: Any) -> Any:
        for each in reversed(options):
            function = each(function)
        return function

    return decorate


PATH = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
"""What every generator of numpy and torch takes."""


def help_alone(ctx: click.Context) -> None:
    """A group without a command shows its help."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


AUTO = "auto"
"""Stands for the method that is settled once the scan is known."""

FALLBACK = "tv"


def method_options(modality: str) -> Callable[[Function], Function]:
    """``--method``, ``--set`` and ``--seed``."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from recon.methods import method_names

        return [name for name in method_names(modality) if name.startswith(incomplete)]  # type: ignore[arg-type]

    return all_of(
        option(
            "--method",
            group="Method",
            default=AUTO,
            metavar="NAME",
            shell_complete=complete,
            help="Reconstruction method; 'recon methods' lists them. auto: meddiffusion where an installed head was "
            "trained for such a scan, else tv.",
        ),
        option(
            "--set",
            "settings",
            group="Method",
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of the method, such as iterations=300; 'recon methods NAME' lists them. May be repeated.",
        ),
        option(
            "--weights",
            group="Method",
            type=PATH,
            default=None,
            metavar="FILE",
            help="Trained network, such as a ControlNet head; the method is then meddiffusion, unless named.",
        ),
        option(
            "--prior",
            group="Method",
            default=None,
            metavar="NAME|FOLDER",
            help="Prior that the head was trained on, where it is not an installed one.",
        ),
        option("--seed", group="Method", type=SEED, default=0, help="Seed of all randomness (a whole number)."),
        option(
            "--device",
            group="Method",
            default="auto",
            metavar="DEVICE",
            help="auto (a GPU where there is one), cpu, cuda or cuda:N.",
        ),
    )


def output_options(default: str) -> Callable[[Function], Function]:
    """``--output``, ``--overwrite``, ``--json`` and ``--quiet``."""
    return all_of(
        option("-o", "--output", group="Output", type=PATH, default=None, metavar="PATH", help=default),
        option("--overwrite", group="Output", is_flag=True, help="Replace an output of an earlier run."),
        option("--json", "as_json", group="Output", is_flag=True, help="Print the result as JSON on standard output."),
        option("-q", "--quiet", group="Output", is_flag=True, help="No progress; print only the output's path."),
    )


def with_weights(
    method: str, settings: dict[str, str], weights: Path | None, prior: str | None
) -> tuple[str, dict[str, str]]:
    """The method and its settings with ``--weights`` and ``--prior`` among them."""
    if weights is None and prior is None:
        return method, settings
    if method == AUTO:
        method = "meddiffusion"
    given = {"weights": weights and str(weights), "prior": prior}
    return method, settings | {key: value for key, value in given.items() if value}


def settled(method: str, modality: Modality, protocol: Protocol) -> tuple[str, tuple[str, ...]]:
    """The method itself, or for ``auto`` the one for a scan; and a notice why that is not the usual one, if so.

    Args:
        method: as given.
        modality: of the scan.
        protocol: what is known of the scan.
    """
    if method != AUTO:
        return method, ()
    from recon.diffusion.controlnet_head import find_head

    path, reason = find_head(protocol, modality)
    return ("meddiffusion", ()) if path else (FALLBACK, (f"--method {FALLBACK}, for meddiffusion: {reason}",))


def parse_settings(settings: tuple[str, ...]) -> dict[str, str]:
    """``("iterations=300",)`` as a dictionary; a usage error for what is no KEY=VALUE or comes twice."""
    parsed: dict[str, str] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--set {text}: must be KEY=VALUE, such as iterations=300")
        if key in parsed:
            raise click.UsageError(f"--set {key}: given twice")
        parsed[key] = value
    return parsed
