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
