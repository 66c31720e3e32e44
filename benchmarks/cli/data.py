"""The commands ``benchmarks data``. Imports click and nothing heavy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.cli.data_text import summary_of, summary_text
from recon.cli.console import say
from recon.cli.flags import FlaggedCommand, FlaggedGroup, with_flags
from recon.cli.harmless import harmless
from recon.errors import InputError, RunError


class UnfinishedError(RunError):
    """The check itself could not be finished: exit code 3, since 1 says that it found problems."""

    exit_code = 3


class DataCommand(FlaggedCommand):
    """A command on data sets."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; the layers below raise ``ValueError`` for what a user got wrong."""
        try:
            return super().invoke(ctx)
        except (ValueError, FileExistsError) as error:
            raise InputError(with_flags(str(error), self)) from error
        except (RunError, OSError) as error:
            raise UnfinishedError(with_flags(str(error), self)) from error


class DataGroup(FlaggedGroup):
    """The group of such commands."""

    command_class = DataCommand


@click.group(cls=DataGroup)
def data() -> None:
    """Get data sets, check that they are complete, and write phantoms as files.

    \b
    kits19        KiTS19, abdominal CT
    mosmed        MosMedData, chest CT of two classes
    fastmri       fastMRI knee, single-coil k-space
    folder        your own NIfTI and DICOM volumes
    sample        the two shipped cases
    phantom       generated anatomies: phantom:count=8,seed=0,size=64x256x256,anatomy=mixed
    """


@data.command()
@click.argument("name")
def how(name: str) -> None:
    """Tell how to get the data set NAME, how it is laid out and split, and its terms of use."""
    from datasets import how_to_get

    click.echo(with_flags(how_to_get(name), check), nl=False)


@data.command()
@click.argument("name")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--modality", type=click.Choice(["CT", "MR"]), help="Modality of a folder of NIfTI files, which do not state it."
)
@click.option("--splits", type=click.Path(path_type=Path), help="JSON file with the splits of a folder.")
@click.option(
    "--subject", metavar="REGEX", help="Regular expression that finds the subject in a case's path inside a folder."
)
@click.option("--out", type=click.Path(path_type=Path), help="Manifest file to write.  [default: manifest-NAME.json]")
@click.option("--overwrite", is_flag=True, help="Replace the manifest if there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def check(
    ctx: click.Context,
    name: str,
    path: Path | None,
    modality: Literal["CT", "MR"] | None,
    splits: Path | None,
    subject: str | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read every case of the data set NAME in the folder PATH, list what is wrong, and write a manifest.

    The command finds cases that are missing, unreadable, duplicated (the same values) or doubtful: a spacing outside
    0.2 to 10 mm, values that are hardly HU, a missing reference image, one subject in two splits. Later runs name the
    hash of the manifest.

    Exit codes: 0 clean, 1 problems found, 2 wrong use, 3 the check could not be finished.
    """
    from benchmarks.data.check import check_dataset
    from datasets import open_dataset
    from recon.io.atomic import check_output, output_file

    target = out or Path(f"manifest-{name.partition(':')[0]}.json")
    start = time.monotonic()
    dataset = open_dataset(name, path, modality=modality, splits=splits, subject=subject)
    check_output(target, overwrite, folder=False)
    with _progress(dataset.title) as progress:
        found = check_dataset(dataset, progress)
    with output_file(target, overwrite) as temporary:
        found.manifest.write(temporary)
    summary = summary_of(found, target, time.monotonic() - start)
    click.echo(json.dumps(summary, indent=2) if as_json else harmless(summary_text(summary)))
    ctx.exit(1 if found.problems else 0)


@data.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--segmentations", is_flag=True, help="Write label maps too: ID_seg.nii.gz beside ID.nii.gz.")
def write(name: str, folder: Path, segmentations: bool) -> None:
    """Write the phantoms NAME, such as phantom:count=8, as NIfTI files in FOLDER/train, val and test.

    Phantoms of an age or a sex get a table, FOLDER/patients.csv, which says them.
    """
    from datasets import open_dataset
    from datasets.patients import write_patients
    from datasets.sets.phantom import PhantomSet, write_nifti

    dataset = open_dataset(name)
    if not isinstance(dataset, PhantomSet):
        raise ValueError(f"data set {name!r} consists of files already; only phantom is written")
    with _progress(dataset.title) as progress:
        for index, case in enumerate(dataset.cases()):
            write_nifti(case, folder, segmentation=segmentations)
            progress(index + 1, dataset.count)
    write_patients(dataset.cases(), folder)
    click.echo(
        f"{dataset.count} {'pairs of ' if segmentations else ''}files in {folder}; check them with: "
        f"benchmarks data check folder {folder} --modality CT"
    )


@data.command()
@click.argument("given", metavar="FOLDER|FILE")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--modality", type=click.Choice(["CT", "MR"]), help="Modality of a folder of NIfTI files.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "val", "test"]),
    help="Split to write; may be repeated.  [default: train and val]",
)
@click.option(
    "--cache", type=click.Path(path_type=Path), help="Folder for prepared volumes.  [default: a temporary folder]"
)
@click.option(
    "--ct-levels",
    type=click.IntRange(2, 255),
    default=255,
    show_default=True,
    help="Number of steps between grey levels in the CT window, -1000 to 1000 HU.",
)
@click.option(
    "--mr-levels",
    type=click.IntRange(2, 255),
    default=255,
    show_default=True,
    help="Number of steps between grey levels of MR magnitudes.",
)
@click.option(
    "--slices",
    type=click.IntRange(1),
    help="Largest number of slices of a training volume; from a thicker one, evenly spread slices are left out.",
)
def pack(
    given: str,
    folder: Path,
    modality: str | None,
    splits: tuple[str, ...],
    cache: Path | None,
    ct_levels: int,
    mr_levels: int,
    slices: int | None,
) -> None:
    """Write training data in little space: NIfTI files of 8 bits a voxel in FOLDER, and data.yaml, their list.

    FOLDER|FILE is what 'recon train --data' takes. The pack is for a rented machine that the data must be sent to. It
    has about a third of their size; CT keeps [-1000, 1000] HU in steps of 8 HU. Most of the size is noise: with half
    the levels, a pack is a quarter smaller.

    \b
    benchmarks data pack anatomies.yaml pack
    recon train autoencoder --data pack/data.yaml --recipe starter --out runs/autoencoder
    """
    from tempfile import TemporaryDirectory

    from benchmarks.data.pack import Detail
    from benchmarks.data.pack import pack as write_pack
    from datasets.cache import Cache
    from recon.training.sources import parse_data

    with TemporaryDirectory() as scratch:
        parts = parse_data(given, "folder", modality, None)
        done = write_pack(
            parts,
            folder,
            Cache(cache or Path(scratch)),
            splits or ("train", "val"),
            say,
            Detail(ct_levels, mr_levels, slices),
        )
    click.echo(f"{done.volumes} volumes, {done.size / 1e6:.1f} MB: {click.format_filename(done.data)}")


@contextmanager
def _progress(title: str) -> Iterator[Any]:
    """A callback (done, total) that draws a bar on a terminal, and does nothing elsewhere."""
    from recon.cli.console import progress_bar
    from recon.scan.measurement import ProgressEvent

    with progress_bar(quiet=False) as update:
        yield lambda done, total: update(ProgressEvent(title, done, total))
