"""The options of ``recon train``, each declared once; a network has those that its training has a use for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from recon.cli.options import PATH, option
from recon.learned.mask_task import POOLINGS
from recon.training.registry import SCAN_TASKS, TASKS, TrainingKind

Decorator = Callable[[Any], Any]
Range = tuple[float, float]

SCANS = {
    "svct": ("geometry", "views", "photons", "arc"),
    "mri": ("masks", "accel", "noise", "phase", "coils"),
    "mask": ("labels", "pooling", "body"),
}
"""The options that describe a scan, or what is shown of a segmentation, by the task that they belong to."""

OF_SCANS = ("simulate", "scanners", "conditions", "references")
"""The options that both tasks of scans have."""


@dataclass(frozen=True)
class Options:
    """Everything that a training can be told; a network's own options fill theirs, the others keep their defaults."""

    out: Path
    recipe: str = "starter"
    settings: tuple[str, ...] = ()
    base: Path | None = None
    head: Path | None = None
    warm_start: Path | None = None
    stage: int = 1
    licence: str = ""
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    dry_run: bool = False
    quiet: bool = False
    data: str = ""
    dataset: str = "folder"
    modality: str | None = None
    manifest: Path | None = None
    class_name: str | None = None
    classes: str = ""
    cache: Path | None = None
    task: str | None = None
    geometry: str = "paper40"
    views: Range | None = None
    photons: Range | None = None
    arc: Range | None = None
    scanners: bool = False
    masks: tuple[str, ...] = ()
    accel: Range = (8.0, 8.0)
    noise: float | None = None
    phase: float | None = None
    coils: Range | None = None
    simulate: str = "continuous"
    conditions: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    labels: str | None = None
    pooling: str = "fractions"
    body: bool = True
    segmentations: Path | None = None


class RangeType(click.ParamType):
    """``20-80`` or ``40`` as lowest and highest."""

    name = "range"

    def __init__(self, whole: bool = False) -> None:
        self._whole = whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Range:
        """The two numbers, positive and in order."""
        if isinstance(value, tuple):
            return value
        low, dash, high = str(value).partition("-")
        try:
            read = (int if self._whole else float)(low), (int if self._whole else float)(high if dash else low)
        except ValueError:
            kind = "whole number" if self._whole else "number"
            self.fail(f"{value}: must be a {kind} or a range such as 20-80", param, ctx)
        if not 0 < read[0] <= read[1]:
            self.fail(f"{value}: must be positive, the lower number first", param, ctx)
        return read


def options_of(kind: TrainingKind) -> list[Decorator]:
    """The options of a network, in the order in which its help lists them."""
    return [*_run(kind), *_machine(), *_data(kind), *_task(kind)]


def _run(kind: TrainingKind) -> list[Decorator]:
    found = [
        option(
            "--out",
            group="Run",
            type=PATH,
            required=True,
            metavar="DIR",
            help="Folder for checkpoints, logs and weights; an unfinished run in it is continued.",
        ),
        option(
            "--recipe",
            group="Run",
            default="starter",
            metavar="NAME|FILE",
            help="Recipe of the training: paper, starter, tiny, or a YAML file of your own."
            + (" With --task mask: starter or tiny." if "mask" in kind.tasks else ""),
        ),
        option(
            "--set",
            "settings",
            group="Run",
            multiple=True,
            metavar="KEY=VALUE",
            help="Replace a setting of the recipe, such as optimizer.lr=1e-4; --settings lists them. May be repeated.",
        ),
    ]
    if "stage" in kind.takes:
        text = "Stage of the training. 1: patches; 2: the joint decoder, from the weights of stage 1."
        found.append(option("--stage", group="Run", type=click.IntRange(1, 2), default=1, help=text))
    if "base" in kind.takes:
        text = "Prior that the network builds upon: a folder, or the name of an installed prior."
        found.append(option("--base", group="Run", type=PATH, default=None, metavar="DIR|NAME", help=text))
    if "head" in kind.takes:
        text = "ControlNet head whose samples the refiner learns from; its task is the refiner's."
        found.append(option("--head", group="Run", type=PATH, default=None, metavar="FILE", help=text))
    return [
        *found,
        option(
            "--warm-start",
            group="Run",
            type=PATH,
            default=None,
            metavar="FILE",
            help="Weights file with the initial weights.  [default: random weights]",
        ),
        option(
            "--licence", group="Run", default="", metavar="TEXT", help="Licence that is written into the weights file."
        ),
    ]


def _machine() -> list[Decorator]:
    return [
        option(
            "--device",
            group="Machine",
            default="auto",
            metavar="DEVICE",
            help="Device that computes: auto (GPUs if there are any), cpu or cuda.",
        ),
        option(
            "--devices",
            group="Machine",
            type=click.IntRange(1),
            default=1,
            help="Number of processes here, one for each GPU.",
        ),
        option(
            "--nodes",
            group="Machine",
            type=click.IntRange(1),
            default=1,
            help="Number of machines; start the command on each of them by torchrun.",
        ),
        option(
            "--dry-run",
            group="Machine",
            is_flag=True,
            help="Print the number of parameters, the memory and the steps of an epoch, and train nothing.",
        ),
        option("-q", "--quiet", group="Machine", is_flag=True, help="Print only the path of the weights."),
    ]


def _data(kind: TrainingKind) -> list[Decorator]:
    found = [
        option(
            "--data",
            group="Data",
            default="",
            metavar="PATH",
            help="Folder of volumes, or a YAML file that lists several data sets, each with its class.",
        ),
        option(
            "--dataset",
            group="Data",
            default="folder",
            metavar="NAME",
            help="Data set in --data: folder, kits19, mosmed or fastmri. sample and phantom[:count=8,size=...] need no "
            "--data.",
        ),
        option(
            "--modality",
            group="Data",
            type=click.Choice(["CT", "MR"], case_sensitive=False),
            help="Modality of NIfTI files, which do not state it.",
        ),
        option(
            "--manifest",
            group="Data",
            type=PATH,
            default=None,
            metavar="FILE",
            help="Manifest by 'benchmarks data check'. The data are compared with it, and the weights name its hash.",
        ),
        option(
            "--cache",
            group="Data",
            type=PATH,
            default=None,
            metavar="DIR",
            help="Folder for data that are computed once; several runs may share it.  [default: cache beside --out]",
        ),
    ]
    if "mask" in kind.tasks:
        found.append(
            option(
                "--segmentations",
                group="Data",
                type=PATH,
                default=None,
                metavar="DIR",
                help="Folder of the label maps of --dataset folder, for --task mask: NAME.nii.gz or NAME_seg.nii.gz "
                "for each volume NAME.nii.gz.  [default: NAME_seg.nii.gz beside each volume]",
            )
        )
    if "class" in kind.takes:
        text = "Anatomy of the volumes, one of the classes of recon generate."
        found.append(option("--class", "class_name", group="Data", default=None, metavar="NAME", help=text))
    if "classes" in kind.takes:
        text = (
            "Names of the training's own classes, in place of those of recon generate. Data sets with classes say the "
            "class of each volume; other data have it in a YAML list or by --class."
        )
        found.append(option("--classes", group="Data", default="", metavar="A,B", help=text))
    return found


def _task(kind: TrainingKind) -> list[Decorator]:
    found: list[Decorator] = []
    if kind.tasks:
        only = kind.tasks[0] if len(kind.tasks) == 1 else None
        more = ", or new CT volumes for segmentations (mask)" if "mask" in kind.tasks else ""
        text = f"Task of the network: CT from few views (svct) or MR from few samples (mri){more}."
        found.append(
            option(
                "--task",
                group="Task",
                type=click.Choice(TASKS if "mask" in kind.tasks else SCAN_TASKS),
                default=only,
                help=text,
            )
        )
        found += [_simulate(kind), _SCANNERS]
    if "svct" in kind.tasks:
        found += _svct()
    if "mri" in kind.tasks:
        found += _mri()
    if "mask" in kind.tasks:
        found += _mask()
    if "condition" in kind.takes:
        text = "Method whose image the network is shown; may be repeated.  [default: fbp for CT, zero-filled for MR]"
        found.append(
            option("--condition", "conditions", group="Task", multiple=True, metavar="METHOD", help=text),
        )
    if "reference" in kind.takes:
        text = (
            "Method whose image is the base image, which the head's samples change. With several of these options, "
            "the base image is the mean of the methods' images.  [default: the last --condition]"
        )
        found.append(
            option("--reference", "references", group="Task", multiple=True, metavar="METHOD", help=text),
        )
    return found


def _simulate(kind: TrainingKind) -> Decorator:
    ways = ["continuous", "drawn", "ideal"] if "svct" in kind.tasks else ["continuous", "ideal"]
    drawn = " 'drawn' (CT) adds a drawn remainder of the model error to ideal scans, which is faster."
    return option(
        "--simulate",
        group="Task",
        type=click.Choice(ways),
        default="drawn" if kind.scans_each_step and "svct" in kind.tasks else "continuous",
        help="How training scans are simulated: 'continuous' scans a continuous object and, in CT, takes the model "
        "error off as in a reconstruction; 'ideal' uses the operator that reconstructs (inverse crime)."
        f"{drawn if 'drawn' in ways else ''}",
    )


_SCANNERS = option(
    "--scanners",
    group="Task",
    is_flag=True,
    help="Draw the scanner of every scan, so that one network serves a range of scanners. CT: around the geometry's, "
    "its magnification, pitch and offset, the angle where it begins, and its arc. MR: the places and gains of the "
    "coils and, for half of the scans, a side of k-space that is left out (partial Fourier).",
)


def _svct() -> list[Decorator]:
    return [
        option(
            "--geometry",
            group="Task",
            default="paper40",
            metavar="NAME|FILE",
            help="Geometry of the CT scans: a preset or a YAML file, with distances in mm and angles in degrees.",
        ),
        option(
            "--views",
            group="Task",
            type=RangeType(whole=True),
            default=None,
            metavar="N|N-M",
            help="Number of views of the CT scans, or a range of numbers.  [default: the geometry's own]",
        ),
        option(
            "--photons",
            group="Task",
            type=RangeType(),
            default=None,
            metavar="N-M",
            help="Range of the number of photons per detector cell and view; half of the CT scans stay noise-free.  "
            "[default: all scans are noise-free]",
        ),
        option(
            "--arc",
            group="Task",
            type=RangeType(),
            default=None,
            metavar="N-M",
            help="Range of arcs in degrees from which --scanners draws; half of the scans have the largest.  "
            "[default: 90-360]",
        ),
    ]


def _mri() -> list[Decorator]:
    return [
        option(
            "--mask",
            "masks",
            group="Task",
            multiple=True,
            metavar="KIND",
            help="Kind of sampling mask of the MR scans; may be repeated.  [default: poisson]",
        ),
        option(
            "--accel",
            group="Task",
            type=RangeType(),
            default="8",
            metavar="R|R-S",
            help="Nominal acceleration of the MR scans, or a range of accelerations.",
        ),
        option(
            "--noise",
            group="Task",
            type=click.FloatRange(0),
            default=None,
            help="Largest standard deviation of the noise of the MR scans, as a fraction of the volume's maximum.  "
            "[default: 0.02; 0 with --simulate ideal]",
        ),
        option(
            "--phase",
            group="Task",
            type=click.FloatRange(0),
            default=None,
            help="Largest phase of the smooth random phases of the MR images, in radians.  "
            "[default: 1.57; 0 with --simulate ideal]",
        ),
        option(
            "--coils",
            group="Task",
            type=RangeType(whole=True),
            default=None,
            metavar="N|N-M",
            help="Number of receive coils of the MR scans, or a range of numbers.  "
            "[default: 1-8; 1 with --simulate ideal]",
        ),
    ]


def _mask() -> list[Decorator]:
    return [
        option(
            "--labels",
            group="Task",
            default=None,
            metavar="N=NAME,...",
            help="Labels of the segmentations that the head is shown, such as 1=kidney,2=tumour. Others are "
            "background.",
        ),
        option(
            "--pooling",
            group="Task",
            type=click.Choice(POOLINGS),
            default="fractions",
            help="How segmentations come to the latent's grid: the share of each label in a latent voxel (fractions), "
            "all voxels as channels (subvoxels), or grey values through the autoencoder, as in the paper (paper).",
        ),
        option(
            "--body/--no-body",
            group="Task",
            default=True,
            help="Whether the head is shown the outline of the body too, as the label 255.",
        ),
    ]
