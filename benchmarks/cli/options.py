"""Options that several commands of ``benchmarks`` share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from recon.cli.options import option
from recon.errors import InputError

JSON = option("--json", "as_json", group="Output", is_flag=True, help="Print the result as JSON.")

OUT = option(
    "--out",
    group="Output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("benchmark-results"),
    help="Folder for the results; results that it holds already are not computed again.",
)

DEVICE = option(
    "--device", group="Run", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Device that computes."
)


def datasets_option(default: str) -> Callable[[Any], Any]:
    """``--dataset``, with the words for what is used without it."""
    return option(
        "--dataset",
        "datasets",
        group="Data",
        multiple=True,
        metavar="NAME=PATH",
        help="Data set with its path: kits19=PATH, fastmri=PATH or folder=PATH; phantom and sample need no path. May "
        f"be repeated.  [default: {default}]",
    )


SPLIT = option(
    "--split",
    group="Data",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    help="Split of the data set whose cases are measured.",
)


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--steps``, ``--sampler`` and ``--start`` of commands that generate volumes to measure them."""
    for each in (
        click.option(
            "--start",
            type=click.Choice(["average", "noise"]),
            default="average",
            show_default=True,
            help="Start of the sampler: the class average with noise added, where the prior knows one, or noise alone.",
        ),
        click.option(
            "--sampler",
            type=click.Choice(["ddim", "ddpm", "dpm++"]),
            default="ddim",
            show_default=True,
            help="Sampler.",
        ),
        click.option(
            "--steps",
            type=click.IntRange(1),
            default=20,
            show_default=True,
            help="Number of sampler steps of a volume.",
        ),
    ):
        command = each(command)
    return command


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--seed``, ``--device`` and ``--cache`` of commands that train a network to measure volumes with it."""
    for each in (
        click.option(
            "--cache",
            type=click.Path(path_type=Path),
            default=Path("cache"),
            show_default=True,
            help="Folder for prepared volumes, as of recon train.",
        ),
        click.option(
            "--device",
            type=click.Choice(["cpu", "cuda"]),
            default="cpu",
            show_default=True,
            help="Device that computes.",
        ),
        click.option(
            "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all random numbers."
        ),
    ):
        command = each(command)
    return command


def pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE``; the settings of a generated data set (``phantom:count=8``) belong to its name."""
    name, _, value = text.partition("=")
    return (text, "") if ":" in name else (name, value)


def check_device(device: str) -> None:
    """Refuse a GPU that is not there.

    Raises:
        InputError: there is none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("`device` cuda: this machine has no CUDA device")
