"""``recon methods`` and ``recon info``: what there is, and what a file is."""

from __future__ import annotations

import dataclasses
import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from recon.cli.console import progress_bar
from recon.cli.flags import FlaggedCommand, with_flags
from recon.cli.harmless import harmless
from recon.cli.mri import mri
from recon.cli.options import PATH
from recon.cli.svct import svct
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.io.detect import FileInfo

_HEADERS = 100
"""Files of a folder between two reports of progress."""


@click.command(cls=FlaggedCommand)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def methods(name: str | None, as_json: bool) -> None:
    """List the reconstruction methods, or describe one of them with its options.

    Any method can be followed by a data-consistency step, as NAME+dc.

    \b
    recon methods
    recon methods tv
    recon methods fbpconv+dc
    """
    from recon.methods import method_names
    from recon.methods.method import DATA_STEP
    from recon.methods.plugins import broken
    from recon.scan.volume import Modality

    for line in broken():
        click.echo(harmless(f"note: left out: {line}"), err=True)

    table = {
        modality: {
            name or each: _describe(modality, name or each)
            for each in method_names(modality)
            if name is None or name.removesuffix(DATA_STEP) == each
        }
        for modality in cast(tuple[Modality, ...], ("CT", "MR"))
    }
    if not any(table.values()):
        known = sorted({*method_names("CT"), *method_names("MR")})
        near = difflib.get_close_matches(name or "", known, n=1)
        raise InputError(
            f"{name}: no such method; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")
        )
    if as_json:
        click.echo(json.dumps(table, indent=2))
        return
    for modality, entries in table.items():
        if entries:
            click.echo(f"{modality} (recon {'svct' if modality == 'CT' else 'mri'} --method NAME)")
        for each, facts in entries.items():
            click.echo(f"  {each:12} {facts['summary']}")
            if name:
                _print_details(facts)


def _describe(modality: Any, name: str) -> dict[str, Any]:
    from recon.methods import get_method
    from recon.options import described

    method = get_method(modality, name)
    options = {
        option.key: {
            "type": option.type.__name__ + (" | None" if option.optional else ""),
            "default": option.default,
            "allowed": option.requirement,
            "unit": option.unit,
            "needs": option.needs and "=".join(option.needs),
            "help": option.description,
        }
        for option in described(method.options)
    }
    return {"summary": method.summary, "reference": method.citation, "options": options}


def _print_details(facts: dict[str, Any]) -> None:
    click.echo(f"    {facts['reference']}")
    for key, option in facts["options"].items():
        default = "auto" if option["default"] is None else option["default"]
        needs = f"; only with {option['needs']}" if option["needs"] else ""
        click.echo(f"    --set {key}={_shown(default)}   {option['help']} ({option['allowed']}{needs})")


def _shown(value: Any) -> str:
    """A value as the command line takes it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@click.command(cls=FlaggedCommand)
@click.argument("path", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def info(path: Path, as_json: bool) -> None:
    """Tell what a file or folder holds, and what the suite would do with it.

    \b
    recon info case.nii.gz
    recon info dicom_folder
    """
    from recon.io.detect import describe
    from recon.scan.measurement import ProgressEvent

    with progress_bar(as_json) as progress:

        def step(done: int, total: int) -> None:
            if done and done % _HEADERS == 0:  # few files are read before anyone could wonder
                progress(ProgressEvent("reading headers", done, total))

        facts = describe(path, step)
    facts = _in_flags(facts)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(facts), indent=2, default=str))
    else:
        for key, value in dataclasses.asdict(facts).items():
            if value not in (None, "", (), {}):
                click.echo(harmless(f"{key.replace('_', ' '):12} {_text(value)}"))
    if facts.problem:
        raise InputError(facts.problem)


def _in_flags(facts: FileInfo) -> FileInfo:
    """The facts in the words of the command that would take the file: this one has no options for it."""
    command = mri if (facts.modality or "").startswith("MR") else svct
    problem = facts.problem and with_flags(facts.problem, command)
    return dataclasses.replace(facts, would=with_flags(facts.would, command), problem=problem)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else click.format_filename(str(value))
