"""Weights in the layout of a Hugging Face repository, which ``recon weights push`` writes and ``pull`` reads.

``README.md`` is the model card with its YAML front matter, the weights are safetensors under the names of a prior's
folder, and ``recon-weights.json`` lists each file with its size and SHA-256. Who has the hash of that list has those of
all files. Weights are written as an export is: names of people in their cards become salted hashes.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from priors.weights.card import Card, read_card
from priors.weights.importing import file_sha256
from priors.weights.model_card import export, model_card
from priors.weights.store import is_name, relative_files

FORMAT = "meddiffusion-recon weights 1"
LIST = "recon-weights.json"
CARD = "README.md"
LIBRARY = "meddiffusion-recon"

LARGEST_LIST = 10**6
"""Bytes of a list of files beyond which it is none."""

MOST_FILES = 100

_FILE = re.compile(r"(heads/)?[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")

LICENCES = (
    *("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    *("gpl-3.0", "lgpl-3.0", "openrail"),
)
"""Licences that Hugging Face knows, as its front matter writes them; others are ``other`` with a name."""


@dataclass(frozen=True)
class ListedFile:
    """A weights file of a repository.

    Attributes:
        path: the path in the repository, such as ``heads/svct.safetensors``.
        size: the size in bytes.
        sha256: the hash of the file's bytes.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """The list of a repository's files.

    Attributes:
        name: the name of the prior.
        files: the weights files.
        sha256: the hash of the list itself.
    """

    name: str
    files: tuple[ListedFile, ...]
    sha256: str


def write_repository(
    source: Path, to: Path, name: str, *, licence: str = "", note: str = "", overwrite: bool = False
) -> Listing:
    """Write the weights of a prior's folder as a repository, which appears whole or not at all.

    Args:
        source: a folder with safetensors of this suite, and perhaps more of them in ``heads``; other files in it are
            not passed on.
        to: the new folder.
        name: the name of the prior.
        licence: the licence of all files, in place of their own.
        note: text for the cards.
        overwrite: whether a repository that was written before is replaced.

    Raises:
        ValueError: no weights there, damaged ones, a name that is none, or ``to`` exists and must not be replaced.
        OSError: the folder cannot be written.
    """
    files = relative_files(source)
    if not files:
        raise ValueError(f"{source}: holds no weights (*.safetensors, heads/*.safetensors)")
    if not is_name(name):
        raise ValueError(f"`name` {name!r}: is no name for a prior; letters, digits, '.', '_' and '-' are")
    check_destination(to, overwrite)
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = to.with_name(f".{to.name}.{secrets.token_hex(8)}.partial")
    try:
        cards = {path: export(source / path, temporary / path, note=note, licence=licence) for path in files}
        (temporary / CARD).write_text(repository_card(name, temporary, cards), encoding="utf-8")
        listing = _write_list(name, temporary, files)
        if to.exists():
            shutil.rmtree(to)
        temporary.rename(to)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return listing


def check_destination(to: Path, overwrite: bool) -> None:
    """``ValueError`` for a folder that exists, unless it is a repository that may be replaced."""
    if not to.exists():
        return
    if not overwrite:
        raise ValueError(f"{to}: exists already; choose another folder, or `overwrite` to replace it")
    if not (to / LIST).is_file():
        raise ValueError(f"{to}: `overwrite` replaces only what 'recon weights push' wrote; it has no {LIST}")


def _write_list(name: str, folder: Path, files: tuple[str, ...]) -> Listing:
    listed = [ListedFile(path, (folder / path).stat().st_size, file_sha256(folder / path)) for path in files]
    content = {"format": FORMAT, "name": name, "files": [asdict(each) for each in listed]}
    text = json.dumps(content, indent=2) + "\n"
    (folder / LIST).write_text(text, encoding="utf-8")
    return read_list(text.encode(), str(folder / LIST))


def read_list(content: bytes, where: str) -> Listing:
    """The list of files in a repository's ``recon-weights.json``.

    Args:
        content: the content of the file.
        where: the path or address of the file, for the message.

    Raises:
        ValueError: no such list, or one with paths or sizes that cannot be.
    """
    try:
        values = json.loads(content)
        files = tuple(ListedFile(str(each["path"]), int(each["size"]), str(each["sha256"])) for each in values["files"])
        name, found = str(values["name"]), values["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{where}: no list of weights that 'recon weights push' wrote") from error
    if found != FORMAT or not is_name(name) or not 1 <= len(files) <= MOST_FILES:
        raise ValueError(f"{where}: a list of another format; a newer version of the suite may read it")
    for each in files:
        if not _FILE.fullmatch(each.path) or each.size < 1 or not _SHA256.fullmatch(each.sha256):
            raise ValueError(f"{where}: lists {each.path[:80]!r}, which is no weights file of a prior")
    if len({each.path for each in files}) < len(files):
        raise ValueError(f"{where}: lists one file twice")
    return Listing(name, files, hashlib.sha256(content).hexdigest())


def repository_card(name: str, folder: Path, cards: Mapping[str, Card]) -> str:
    """The model card of a repository: front matter as Hugging Face reads it, then the card of each file.

    Args:
        name: the name of the prior.
        folder: the folder of the files.
        cards: the card of each file by its path.
    """
    front = yaml.safe_dump(_front_matter(cards), sort_keys=False, allow_unicode=True)
    lines = [f"---\n{front}---\n", f"# {name}", ""]
    lines += ["Networks for the reconstruction of CT and MR volumes from few measurements. Research only: not for"]
    lines += ["diagnosis, nor for any decision about a patient. To install them:", ""]
    lines += ["```", "recon weights pull ADDRESS-OR-FOLDER", "```", ""]
    parts = [model_card(folder / path, path).replace("# ", "## ", 1) for path in cards]
    return "\n".join([*lines, *parts])


def _front_matter(cards: Mapping[str, Card]) -> dict[str, object]:
    licences = sorted({card.licence for card in cards.values()})
    known = re.sub(r"[\s_]+", "-", licences[0].strip()).lower() if len(licences) == 1 else ""
    licence: dict[str, object] = {"license": known}
    if known not in LICENCES:
        licence = {"license": "other", "license_name": "; ".join(filter(None, licences)) or "not stated"}
    kinds = sorted({card.kind for card in cards.values()})
    tags = ["medical", "image-reconstruction", "inverse-problems", *kinds]
    return licence | {"library_name": LIBRARY, "pipeline_tag": "image-to-image", "tags": tags}


def unlicensed(folder: Path) -> list[str]:
    """The weights files of a folder whose cards state no licence that would allow passing them on."""
    licences = {path: read_card(folder / path).licence.strip().lower() for path in relative_files(folder)}
    return [path for path, licence in licences.items() if not licence or licence.startswith(("not ", "unknown"))]
