"""Where priors lie: a folder for each, ``NAME/`` with ``autoencoder.safetensors``, ``biflownet.safetensors``, perhaps
``lpips.safetensors``, and ControlNet heads as ``heads/*.safetensors``.

Some come with the suite, in a distribution of their own; the user's own are in ``$RECON_WEIGHTS``, or in the platform's
folder for data.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from priors.weights.card import Card, count_numbers, read_card

AUTOENCODER = "autoencoder.safetensors"
BIFLOWNET = "biflownet.safetensors"
IMPLICIT_DECODER = "implicit-decoder.safetensors"
"""File names in a prior's folder."""

SUFFIX = ".safetensors"
HEADS = "heads"

DISTRIBUTION = "meddiffusion-recon-weights"
DATA_PACKAGE = "meddiffusion_recon_weights"
"""The distribution with the suite's own weights, and its folder among the installed packages."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Entry:
    """A weights file of a prior.

    Attributes:
        name: such as ``official-8x/biflownet``.
        path: the path of the file.
        shipped: whether it came with the package.
    """

    name: str
    path: Path
    shipped: bool


@dataclass(frozen=True)
class Facts:
    """What ``list`` shows of an entry.

    Attributes:
        card: its own.
        numbers: how many numbers it holds.
        size: the size of the file in bytes.
    """

    card: Card
    numbers: int
    size: int


def user_folder() -> Path:
    """Where a user's priors are kept; it need not exist yet."""
    chosen = os.environ.get("RECON_WEIGHTS")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "recon" / "weights"
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "recon" / "weights"


def shipped_folder() -> Path:
    """Where the suite's own priors lie: in a checkout beside this package, else in the distribution that holds them.

    Its folder need not exist, and no code of it is run.
    """
    beside = Path(__file__).parents[1] / "pretrained"
    if beside.is_dir():
        return beside
    found = find_spec(DATA_PACKAGE)
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else beside


def how_to_get_shipped() -> str:
    """The end of a message about missing weights: the command that installs the suite's own; "" where they are."""
    if shipped_folder().is_dir():
        return ""
    return f"; the weights that belong to the suite are not installed: 'pip install {DISTRIBUTION}' adds them"


def prior_folder(name: str) -> Path:
    """The folder of a user's prior, which need not exist yet.

    Raises:
        ValueError: a name that could not be a folder's, or that a shipped prior has.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a prior; letters, digits, '.', '_' and '-' are")
    if (shipped_folder() / name).is_dir():
        raise ValueError(f"the prior {name!r} comes with the package and cannot be changed; choose another name")
    return user_folder() / name


def prior_names() -> list[str]:
    """Names of all priors that are there, sorted."""
    return sorted({folder.name for root in (user_folder(), shipped_folder()) for folder in _priors_in(root)})


def find_prior(name_or_folder: str | Path) -> Path:
    """The folder of a prior.

    Args:
        name_or_folder: a name that ``prior_names`` has, or a folder with the files of a prior.

    Raises:
        ValueError: there is no such prior; the line names those that there are and how to get more.
    """
    name = str(name_or_folder)
    for root in (user_folder(), shipped_folder()):
        if _NAME.fullmatch(name) and (root / name).is_dir():
            return root / name
    if name and Path(name).is_dir():
        return Path(name)
    known = ", ".join(prior_names()) or "none yet"
    raise ValueError(
        f"no prior and no folder of the name {name!r}; there are: {known}. 'recon weights import FILE' adds the "
        f"official ones, and `prior` takes a folder too{how_to_get_shipped()}"
    )


def entries() -> list[Entry]:
    """The weights files of all priors, sorted by the priors' names."""
    found = {}
    for root, shipped in ((shipped_folder(), True), (user_folder(), False)):
        for folder in _priors_in(root):
            found[folder.name] = [Entry(_entry_name(path, root), path, shipped) for path in _files_of(folder)]
    return [entry for name in sorted(found) for entry in found[name]]


def find_entries(name: str) -> list[Entry]:
    """The entries that a name means: a prior's, or one such as ``official-8x/biflownet``.

    Raises:
        ValueError: there is none of that name.
    """
    found = [entry for entry in entries() if entry.name == name or entry.name.startswith(f"{name}/")]
    if not found:
        known = ", ".join(prior_names()) or "none yet"
        raise ValueError(f"no weights file and no prior of the name {name!r}; there are: {known}{how_to_get_shipped()}")
    return found


def is_name(name: str) -> bool:
    """Whether a prior may have such a name."""
    return _NAME.fullmatch(name) is not None


def relative_files(folder: Path) -> tuple[str, ...]:
    """The weights files of a prior's folder as paths in it, such as ``heads/svct.safetensors``."""
    return tuple(path.relative_to(folder).as_posix() for path in _files_of(folder))


def facts(path: Path) -> Facts:
    """What a weights file is; its tensors are not read.

    Raises:
        ValueError: it is damaged, or no weights file of this suite.
    """
    return Facts(read_card(path), count_numbers(path), path.stat().st_size)


def _priors_in(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (folder for folder in sorted(root.iterdir()) if _NAME.fullmatch(folder.name) and folder.is_dir())


def _files_of(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / HEADS):
        yield from sorted(path for path in place.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def _entry_name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix().removesuffix(SUFFIX)
