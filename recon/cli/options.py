"""Options that commands share, shown by ``--help`` in groups."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recon.cli.flags import FlaggedCommand
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.report.print_figures import FigureRequest

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
            if record and isinstance(parameter, click.Option):  # the usage line shows arguments
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def option(*names: str, group: str, **settings: Any) -> Callable[[Function], Function]:
    """``click.option`` under a heading, with its default shown unless that is an empty text."""
    shown = settings.get("default") != ""
    return click.option(*names, cls=GroupedOption, group=group, show_default=shown, **settings)


nan_option = option(
    "--nan",
    group="Input",
    type=click.Choice(["refuse", "air"]),
    default="refuse",
    help="What to do with voxels that are NaN: refuse the file, or take them as air (in MR as 0).",
)


resample_option = option(
    "--resample",
    group="Input",
    is_flag=True,
    help="Resample a DICOM series whose slices are unevenly spaced, or shifted sideways by a tilted gantry, to a "
    "regular grid; without this option it is refused.",
)


def all_of(*options: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Several options as one decorator, listed in the given order."""

    def decorate(function: Any) -> Any:
        for each in reversed(options):
            function = each(function)
        return function

    return decorate


class FilePath(click.Path):
    """A path of a file or folder; an empty text is none, and ``~`` is the home folder, also in ``--output=~/x``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a usage error for an empty text."""
        if value == "":
            self.fail("must name a file or folder; it is empty", param, ctx)
        expanded = os.path.expanduser(value) if isinstance(value, str) else value  # shells leave what follows a =
        return super().convert(expanded, param, ctx)


PATH = FilePath(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
"""What every generator of numpy and torch takes."""


def help_alone(ctx: click.Context) -> None:
    """A group without a command shows its help."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def one_input(argument: Path | None, source: Path | None) -> Path | None:
    """The input, which is given as an argument or as ``--input``; a usage error for both."""
    if argument is not None and source is not None:
        raise click.UsageError(f"{argument} and --input {source}: the input is given twice; leave one out")
    return argument or source


def method_options(modality: str) -> Callable[[Function], Function]:
    """``--method``, ``--set`` and ``--seed``."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from recon.methods import method_names

        before, comma, last = incomplete.rpartition(",")
        names = method_names(modality)  # type: ignore[arg-type]
        return [before + comma + name for name in names if name.startswith(last)]

    return all_of(
        option(
            "--method",
            group="Method",
            default="auto",
            metavar="NAME[,NAME...]",
            shell_complete=complete,
            help="Reconstruction method; 'recon methods' lists them. auto takes meddiffusion where an installed head "
            "was trained for such a scan, and tv elsewhere. Several methods, such as fbp,tv, reconstruct the same scan "
            "and are shown side by side in one report.",
        ),
        option(
            "--set",
            "settings",
            group="Method",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set an option of the method, such as iterations=300; 'recon methods NAME' lists the options. Of "
            "several methods, those that have such an option get it, and tv.iterations=300 is for tv alone. May be "
            "repeated.",
        ),
        option(
            "--weights",
            group="Method",
            type=PATH,
            default=None,
            metavar="FILE",
            help="Weights file of a trained network, such as a ControlNet head. --method auto is then meddiffusion.",
        ),
        option(
            "--prior",
            group="Method",
            default=None,
            metavar="NAME|FOLDER",
            help="Prior that the head was trained on; needed only where that prior is not installed.",
        ),
        option("--seed", group="Method", type=SEED, default=0, help="Seed of all random numbers (a whole number)."),
        option(
            "--device",
            group="Method",
            default="auto",
            metavar="DEVICE",
            help="Device that computes: auto (a GPU if there is one), cpu, cuda or cuda:N.",
        ),
    )


def output_options(default: str) -> Callable[[Function], Function]:
    """``--output``, ``--overwrite``, ``--json`` and ``--quiet``."""
    return all_of(
        option("-o", "--output", group="Output", type=PATH, default=None, metavar="PATH", help=default),
        option("--overwrite", group="Output", is_flag=True, help="Replace the output of an earlier run."),
        option("--json", "as_json", group="Output", is_flag=True, help="Print the result as JSON to standard output."),
        option(
            "-q",
            "--quiet",
            group="Output",
            is_flag=True,
            help="Show no progress and no notes; print only the path of the output.",
        ),
    )


figure_options = all_of(
    option(
        "--png",
        group="Output",
        is_flag=True,
        help="Also write pictures for a paper to the folder figures: axial slices at full resolution, with letters and "
        "a scale, one picture each and all side by side.",
    ),
    option(
        "--window",
        group="Output",
        default=None,
        metavar="CENTRE,WIDTH",
        help="Grey window of these pictures, or the name of one of the report's, such as soft-tissue, lung or bone; "
        "needs --png.  [default: the one that the report begins with]",
    ),
    option(
        "--slices",
        group="Output",
        default=None,
        metavar="N,N-N",
        help="Axial slices of these pictures, counted from 1 as in the report, such as 10,20-24, or all; needs --png.  "
        "[default: the middle one]",
    ),
)


def parse_figures(png: bool, window: str | None, slices: str | None) -> FigureRequest | None:
    """The pictures that are asked for; a usage error for a window or slices of none."""
    if not png:
        if window is not None or slices is not None:
            raise click.UsageError(f"--{'slices' if window is None else 'window'} is for pictures; it needs --png")
        return None
    from recon.report.print_figures import FigureRequest

    return FigureRequest(window, "middle" if slices is None else slices)


def parse_settings(settings: tuple[str, ...], weights: Path | None = None, prior: str | None = None) -> dict[str, str]:
    """Options of the method as a dictionary, those of ``--weights`` and ``--prior`` among them.

    Raises:
        UsageError: a text that is no KEY=VALUE, or a key that is given twice.
    """
    flagged = {"weights": weights and str(weights), "prior": prior}
    parsed = {key: value for key, value in flagged.items() if value}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--set {text}: must be KEY=VALUE, such as iterations=300")
        if key in parsed:
            raise click.UsageError(f"--set {key}: given twice")
        parsed[key] = value
    return parsed


def parse_pair(name: str, text: str | None, separator: str) -> tuple[int, int] | None:
    """Two whole numbers of an option; None where it is not given.

    Args:
        name: the option, without dashes.
        text: the numbers, such as ``256,256``.
        separator: what stands between them.

    Raises:
        InputError: something else.
    """
    if text is None:
        return None
    try:
        first, second = (int(part) for part in text.split(separator))
    except ValueError:
        raise InputError(f"`{name}` {text}: must be two whole numbers with '{separator}' between") from None
    return first, second
