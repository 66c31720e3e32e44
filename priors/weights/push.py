"""Pass weights on: as a repository in a folder, or on Hugging Face."""

from __future__ import annotations

import tempfile
from pathlib import Path

from priors.weights.pull import source_of
from priors.weights.repository import unlicensed, write_repository
from priors.weights.store import find_prior
from priors.weights.upload import upload

HUB = "hf://"


def push(
    name: str, destination: str, prior: str = "", *, licence: str = "", note: str = "", overwrite: bool = False
) -> tuple[str, str]:
    """Write the weights of a prior as a repository, see :func:`priors.weights.repository.write_repository`.

    Args:
        name: the name of a prior, or a folder with weights.
        destination: a folder, its ``file://`` address, or ``hf://OWNER/NAME``.
        prior: the name of the prior for others; empty: the name of its folder.
        licence: the licence of all files, in place of their own; needed on Hugging Face where one states none.
        note: text for the cards.
        overwrite: whether a folder that was written before is replaced.

    Returns:
        The source to pull from, and the SHA-256 of the list of files.

    Raises:
        ValueError: no such prior, damaged weights, a destination that cannot be, or weights without a licence.
        ConnectionError: Hugging Face does not take them.
        OSError: the folder cannot be written.
    """
    folder = find_prior(name)
    chosen = prior or folder.resolve().name
    if destination.startswith(HUB):
        return _push_to_hub(folder, destination.removeprefix(HUB), chosen, licence, note)
    if "://" in destination and not destination.startswith("file://"):
        raise ValueError(f"{destination}: weights are pushed to a folder, or to hf://OWNER/NAME")
    to = source_of(destination).folder
    assert to is not None  # an address of a folder, as was just checked
    listing = write_repository(folder, to, chosen, licence=licence, note=note, overwrite=overwrite)
    return str(to), listing.sha256


def _push_to_hub(folder: Path, repository: str, prior: str, licence: str, note: str) -> tuple[str, str]:
    source_of(f"{HUB}{repository}")  # refuses what is no repository's name
    if not licence and (without := unlicensed(folder)):
        raise ValueError(f"{folder}: {', '.join(without)} states no licence; name the one that allows it as `licence`")
    with tempfile.TemporaryDirectory(prefix="recon-push-") as temporary:
        staged = Path(temporary) / prior
        listing = write_repository(folder, staged, prior, licence=licence, note=note)
        return upload(staged, repository), listing.sha256
