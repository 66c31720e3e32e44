"""``benchmarks run fig12``: what generated volumes are worth as training data of a segmentation network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.cli.options import pair
from recon.cli.console import say
from recon.cli.flags import in_flags
from recon.cli.harmless import harmless
from recon.cli.options import option
from recon.errors import InputError

if TYPE_CHECKING:
    from benchmarks.downstream.training import Short

FIG12 = "fig12"
FIG12_TITLE = "generated volumes as training data of nnU-Net"

OF_SEGMENTATION = ("nnunet", "synthetic", "head", "short", "configuration")
"""What Fig. 12 alone takes."""

TAKEN_BY_FIG12 = ("table", "datasets", "methods", "priors", "jobs", "device", "out", "as_json", *OF_SEGMENTATION)
"""What it takes."""

_PROCESSES = 2

SEGMENTATION_OPTIONS = (
    option(
        "--nnunet",
        group="Segmentation",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Folder of nnU-Net's commands (nnUNetv2_train and others), such as the bin of its own environment.  "
        "[default: those on the PATH]",
    ),
    option(
        "--synthetic",
        group="Segmentation",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Folder of synthetic volumes, CASE.nii.gz for each case that trains, generated for its segmentation.",
    ),
    option(
        "--head",
        group="Segmentation",
        default=None,
        metavar="NAME|FILE",
        help="ControlNet head of the task mask, which makes the synthetic volumes in place of --synthetic.",
    ),
    option(
        "--short",
        group="Segmentation",
        default=None,
        metavar="EPOCHSxITERATIONS",
        help="Length of each training, such as 3x10, for a CPU; the table then says that it is short.  "
        "[default: nnU-Net's own, 1000x250]",
    ),
    option(
        "--configuration",
        group="Segmentation",
        type=click.Choice(["2d", "3d_fullres", "3d_lowres"]),
        default="3d_fullres",
        help="Configuration of nnU-Net.",
    ),
)


@dataclass(frozen=True)
class SegmentationOptions:
    """What Fig. 12 is told."""

    datasets: tuple[str, ...]
    methods: str
    priors: tuple[str, ...]
    jobs: int | None
    device: str
    out: Path
    as_json: bool
    nnunet: Path | None
    synthetic: Path | None
    head: str | None
    short: str | None
    configuration: str


def segmentation_table(given: SegmentationOptions) -> None:
    """Run Fig. 12, print it, and write its results and its page into a folder of its name."""
    from benchmarks.downstream.fig12 import Fig12Request, run_fig12
    from benchmarks.downstream.segmentation_figures import table, write_all
    from benchmarks.downstream.training import How

    if len(given.datasets) != 1:
        raise InputError(
            f"`dataset`: {FIG12} trains on one data set with segmentations; name kits19=PATH or folder=PATH, or "
            "phantom:count=40 to try it"
        )
    if given.synthetic is not None and given.head is not None:
        raise InputError("`head`: has no effect with `synthetic`, which has the volumes already")
    if given.priors and given.head is None:
        raise InputError("`prior`: is that of a `head`, and none is named")
    if len(given.priors) > 1:
        raise InputError(f"`prior`: a head was trained on one prior; {len(given.priors)} are named")
    name, path = pair(given.datasets[0])
    how = How(given.configuration, _short(given.short), given.device, given.jobs or _PROCESSES)
    asked = tuple(dict.fromkeys(each.strip() for each in given.methods.split(",") if each.strip()))
    request = Fig12Request(
        name,
        Path(path).absolute() if path else None,
        asked,
        given.nnunet,
        given.synthetic,
        given.head,
        given.priors[0] if given.priors else None,
        how,
        given.out,
    )
    result = run_fig12(request, lambda line: say(in_flags(line)))
    written = write_all(result, given.out / FIG12)
    click.echo(json.dumps(result.to_dict(), indent=2) if given.as_json else harmless(in_flags(table(result))))
    click.echo(f"written: {', '.join(click.format_filename(path) for path in written)}", err=True)


def _short(text: str | None) -> Short | None:
    """``--short`` EPOCHSxITERATIONS."""
    from benchmarks.downstream.training import Short

    if text is None:
        return None
    epochs, _, iterations = text.partition("x")
    if not (epochs.isdecimal() and iterations.isdecimal() and int(epochs) and int(iterations)):
        raise InputError(f"`short` {text}: must be two whole numbers EPOCHSxITERATIONS, each 1 or more, such as 3x10")
    return Short(int(epochs), int(iterations))
