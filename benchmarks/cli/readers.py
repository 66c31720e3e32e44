"""The commands ``benchmarks readers``. Imports click and nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click

from recon.cli.console import progress_bar
from recon.cli.flags import FlaggedGroup
from recon.cli.harmless import harmless
from recon.cli.options import PATH, SEED, GroupedCommand, option
from recon.errors import InputError, input_errors


@click.group(cls=FlaggedGroup)
def readers() -> None:
    """Let people rank volumes blindly on a page of their own, and read their answers."""


@readers.command(cls=GroupedCommand)
@option(
    "--method",
    "methods",
    group="Volumes",
    multiple=True,
    required=True,
    metavar="NAME=FOLDER",
    help="Method with the folder of its volumes: NIfTI files, or folders that recon svct or recon mri wrote. Repeated "
    "for each method.",
)
@option("--real", group="Volumes", type=PATH, default=None, help="Folder of real volumes, which are ranked too.")
@option(
    "--ours",
    group="Volumes",
    default=None,
    metavar="NAME",
    help="Method that the others are compared with, beside the real volumes.  [default: the first --method]",
)
@option("--modality", group="Volumes", type=click.Choice(["CT", "MR"]), default="CT", help="Modality of all volumes.")
@option(
    "--match",
    group="Volumes",
    type=click.Choice(["auto", "name", "draw"]),
    default="auto",
    help="How volumes become cases: files of one name show one anatomy (name), or volumes are put together by chance "
    "(draw). auto takes names where enough of them are in all folders and recon generate made none of them.",
)
@option(
    "--cases", group="Study", type=click.IntRange(1, 200), required=True, help="Number of cases that each reader ranks."
)
@option(
    "--repeats",
    group="Study",
    type=click.IntRange(0, 200),
    default=None,
    help="Number of cases that are shown twice, in another order.  [default: 15 % of the cases, at least one]",
)
@option(
    "--reader",
    "names",
    group="Study",
    multiple=True,
    required=True,
    metavar="ID",
    help="Name of a reader. Each reader gets another page. Repeated for each reader.",
)
@option("--seed", group="Study", type=SEED, default=0, help="Seed of every draw: cases, orders and repeats.")
@option("--out", group="Output", type=PATH, required=True, help="Folder to write the pages and the key to.")
@option("--overwrite", group="Output", is_flag=True, help="Replace a study that is in the folder.")
@option(
    "--layout",
    group="Output",
    type=click.Choice(["auto", "one", "case"]),
    default="auto",
    help="One page with all volumes (one), or a page with a file for each case beside it (case). auto takes one page "
    "up to 40 MB.",
)
@option(
    "--case-megabytes",
    group="Output",
    type=click.FloatRange(min=0.01),
    default=10.0,
    help="Largest size of one case. Volumes that need more lose grey values, and then voxels.",
)
@option("--quiet", group="Output", is_flag=True, help="Print no progress.")
def make(
    methods: tuple[str, ...],
    real: Path | None,
    ours: str | None,
    modality: Literal["CT", "MR"],
    match: Literal["auto", "name", "draw"],
    cases: int,
    repeats: int | None,
    names: tuple[str, ...],
    seed: int,
    out: Path,
    overwrite: bool,
    layout: Literal["auto", "one", "case"],
    case_megabytes: float,
    quiet: bool,
) -> None:
    """Write a page for each reader, and key.json, which says which method is behind which letter.

    Send a reader the page with the reader's name alone (or the folder of this name). The key stays with the organiser;
    its hash is in every page, so that it cannot be changed later.

    \b
    benchmarks readers make --method ours=generated/ours --method wdm=generated/wdm --real real \\
        --cases 10 --reader R1 --reader R2 --out study
    """
    from benchmarks.readers.make import make as make_study
    from benchmarks.readers.study import Request

    with input_errors():
        request = Request(
            methods=_folders(methods),
            readers=names,
            cases=cases,
            real=real,
            ours=ours,
            repeats=repeats,
            match=match,
            modality=modality,
            seed=seed,
            case_megabytes=case_megabytes,
        )
        with progress_bar(quiet) as progress:
            made = make_study(request, out, layout=layout, overwrite=overwrite, on_progress=progress)
    for reader, page in made.pages.items():
        click.echo(harmless(f"{reader}: {out / page}"))
    how = "the volumes of a case have one name" if made.is_matched else "volumes were put together by chance"
    click.echo(f"{made.trials} cases for each reader, practice, repeats and control included; {how}")
    click.echo(f"the pages say: {made.notes[-1]}")
    click.echo(harmless(f"the key, to be kept by the organiser: {out / 'key.json'} ({made.key_sha256[:12]})"))


def _folders(given: tuple[str, ...]) -> dict[str, Path]:
    """The folder of each method by its name."""
    found: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise InputError(f"`method` {text}: must be NAME=FOLDER")
        if name in found:
            raise InputError(f"`method` {name}: is given twice")
        found[name] = Path(folder).expanduser()
    return found


@readers.command(cls=GroupedCommand)
@click.argument("files", nargs=-1, required=True, type=PATH)
@option(
    "--key",
    "keys",
    group="Input",
    type=PATH,
    multiple=True,
    required=True,
    metavar="FILE",
    help="Key of the study, key.json. Repeated where the pages were made by several calls.",
)
@option(
    "--format",
    "form",
    group="Output",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    help="Format of the report.",
)
@option("--out", group="Output", type=PATH, default=None, help="File to write.  [default: the report is printed]")
def read(files: tuple[Path, ...], keys: tuple[Path, ...], form: str, out: Path | None) -> None:
    """Compute the statistics of the answers in FILES, which the readers exported.

    Mean rank of each method with its bootstrap interval; Friedman's test with Kendall's W; Wilcoxon's test against the
    real volumes and against ours, corrected after Holm; the readers' agreement with each other and with themselves.
    """
    from benchmarks.readers import documents
    from benchmarks.readers.summary import summarise

    forms: dict[str, Any] = {
        "text": documents.text,
        "markdown": documents.markdown,
        "html": documents.page,
        "json": lambda summary: json.dumps(summary.to_dict(), indent=1),
    }
    with input_errors():
        report = forms[form](summarise(files, keys)).rstrip("\n") + "\n"
        if out is None:
            click.echo(harmless(report), nl=False)
        else:
            _write(out, report)


def _write(path: Path, text: str) -> None:
    """Write a report, whole or not at all, to a name that is free."""
    from datasets.whole_file import whole_file

    if path.exists():
        raise InputError(f"{path}: exists already; choose the name of a new file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
