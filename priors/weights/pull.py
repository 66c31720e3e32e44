"""Take a repository of weights into the user's store, from a folder or over https.

Its list of files comes first. Its hash is compared with the one that the user states, or with that of the first pull
from there. Then each file comes, is compared with the list's hash and loaded strictly into its network, which runs no
code; the store gets all of them or none.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from priors.weights.card import Card
from priors.weights.fetch import DOWNLOADS, LARGEST, OnBytes
from priors.weights.importing import file_sha256
from priors.weights.networks import verify
from priors.weights.repository import LARGEST_LIST, LIST, ListedFile, Listing, read_list
from priors.weights.store import prior_folder, user_folder
from priors.weights.transport import check_address, go_on, read_small

PULLED = "pulled.json"
"""In the user's folder: SHA-256 of the list of files of each source when it was first pulled from."""

HUB = "https://huggingface.co"

_REPOSITORY = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?")
_PAGE = re.compile(r"/(?P<repository>[\w.-]+/[\w.-]+)(/tree/(?P<revision>[\w.-]+))?/?")


@dataclass(frozen=True)
class Source:
    """Where a repository lies.

    Attributes:
        folder: the folder on this machine; None where it is elsewhere.
        address: the address that file names are added to; "" for a folder.
    """

    folder: Path | None
    address: str = ""

    @property
    def text(self) -> str:
        """The folder or address, as :data:`PULLED` names it."""
        return self.address or str(self.folder)

    def read_list(self) -> Listing:
        """The repository's list of files; ``ValueError`` or ``ConnectionError`` where there is none."""
        if self.folder is None:
            url = f"{self.address}/{LIST}"
            return read_list(read_small(url, LARGEST_LIST), url)
        path = self.folder / LIST
        if not path.is_file():
            raise ValueError(f"{self.folder}: no repository of weights: it has no {LIST}, which 'weights push' writes")
        if path.stat().st_size > LARGEST_LIST:
            raise ValueError(f"{path}: has more than {LARGEST_LIST} bytes, which no such file has")
        return read_list(path.read_bytes(), str(path))

    def copy(self, file: ListedFile, to: Path, on_bytes: OnBytes | None) -> None:
        """Bring one file here, going on with what is here already; ``ValueError`` where it is not the listed one."""
        to.parent.mkdir(parents=True, exist_ok=True)
        if self.folder is not None:
            _copy_local(self.folder / file.path, file, to)
        elif (here := to.stat().st_size if to.exists() else 0) != file.size:
            url = f"{self.address}/{file.path}"
            check_address(url, url)
            told = (lambda *now: on_bytes(file.path, *now)) if on_bytes else None
            go_on(to, here if here < file.size else 0, url, file.size, told)
        if (found := file_sha256(to)) != file.sha256:
            to.unlink()
            raise ValueError(
                f"{self.text}: {file.path} has the sha256 {found}, its list says {file.sha256}; nothing is kept"
            )


def _copy_local(path: Path, file: ListedFile, to: Path) -> None:
    if not path.is_file() or path.stat().st_size != file.size:
        raise ValueError(f"{path}: missing, or not of the {file.size} bytes that the repository's list states")
    shutil.copyfile(path, to)


def source_of(text: str) -> Source:
    """What a user names: a folder, ``file://``, ``hf://OWNER/NAME[@REVISION]``, or an https address.

    Raises:
        ValueError: an address that is not to be trusted, or none.
    """
    if text.startswith("hf://"):
        return _on_hub(_REPOSITORY.fullmatch(text[5:].strip("/")), os.environ.get("HF_ENDPOINT", HUB), text)
    if text.startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise ValueError(f"{text}: file:// takes a path of this machine, such as file:///data/weights")
        return Source(Path(unquote(parts.path)))
    if "://" not in text:
        return Source(Path(text))
    check_address(text, text)
    if (urlsplit(text).query, urlsplit(text).fragment) != ("", ""):
        raise ValueError(f"{text.partition('?')[0]}: must be an address without '?' and '#', which files are added to")
    if text.startswith(f"{HUB}/") and (page := _PAGE.fullmatch(urlsplit(text).path)):
        return _on_hub(page, HUB, text)
    return Source(None, text.rstrip("/"))


def _on_hub(found: re.Match[str] | None, endpoint: str, text: str) -> Source:
    if found is None:
        raise ValueError(f"{text}: must be hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    return Source(None, f"{endpoint.rstrip('/')}/{found['repository']}/resolve/{found['revision'] or 'main'}")


def pull(
    source: str, *, prior: str = "", sha256: str = "", overwrite: bool = False, on_bytes: OnBytes | None = None
) -> dict[Path, Card]:
    """Install the weights of a repository as a prior of the user's.

    Args:
        source: a folder, or an address as :func:`source_of` takes it.
        prior: the name of the prior; empty: the repository's own.
        sha256: the hash of the list of files, as ``push`` prints it; empty: that of the first pull from there.
        overwrite: replace what is there, and what is remembered of the source.
        on_bytes: is told about the progress.

    Returns:
        The files written, with their cards; none where the same files are there already.

    Raises:
        ValueError: no repository, an address that is not to be trusted, files other than the stated ones, or a prior
            that is there already.
        ConnectionError: the host cannot be reached, breaks off, or does not have a file.
        OSError: they cannot be written.
    """
    place = source_of(source)
    listing = place.read_list()
    _check_pinned(place, listing, sha256, overwrite)
    folder = prior_folder(prior or listing.name)
    if _is_installed(folder, listing) and not overwrite:
        return {}
    _check_free(folder, listing, overwrite)
    total = sum(each.size for each in listing.files)
    if total > LARGEST:
        raise ValueError(f"{place.text}: lists {total} bytes; at most {LARGEST} are fetched")
    arrived = user_folder() / DOWNLOADS / f"pull-{listing.sha256[:16]}"
    for file in listing.files:
        place.copy(file, arrived / file.path, on_bytes)
    cards = _verified(arrived, listing)
    written = _moved(arrived, folder, cards)
    shutil.rmtree(arrived)
    _remember(place, listing)
    return written


def _check_pinned(place: Source, listing: Listing, stated: str, overwrite: bool) -> None:
    """``ValueError`` where the list of files is not the stated one, or not that of the first pull."""
    if stated and stated.lower() != listing.sha256:
        raise ValueError(f"{place.text}: its list of files has the sha256 {listing.sha256}, `sha256` says {stated}")
    known = _pulled().get(place.text)
    if not stated and known not in (None, listing.sha256) and not overwrite:
        raise ValueError(
            f"{place.text}: not what was first pulled from there: the sha256 of its list of files is {listing.sha256}, "
            f"that was {known}; give the right one as `sha256`, or `overwrite` if the change is meant"
        )


def _is_installed(folder: Path, listing: Listing) -> bool:
    here = [folder / file.path for file in listing.files]
    return all(path.is_file() for path in here) and all(
        file_sha256(path) == file.sha256 for path, file in zip(here, listing.files, strict=True)
    )


def _check_free(folder: Path, listing: Listing, overwrite: bool) -> None:
    for file in listing.files:
        if (folder / file.path).exists() and not overwrite:
            raise ValueError(
                f"{folder / file.path}: exists already; `overwrite` replaces it, `prior` gives another name"
            )


def _verified(arrived: Path, listing: Listing) -> dict[str, Card]:
    """The cards of files whose networks could be loaded; ``ValueError``, and nothing kept, where one could not."""
    try:
        return {file.path: verify(arrived / file.path) for file in listing.files}
    except ValueError:
        shutil.rmtree(arrived)
        raise


def _moved(arrived: Path, folder: Path, cards: dict[str, Card]) -> dict[Path, Card]:
    written = {}
    for path, card in cards.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(arrived / path, folder / path)
        written[folder / path] = card
    return written


def _pulled() -> dict[str, str]:
    path = user_folder() / PULLED
    if not path.exists():
        return {}
    try:
        return {source: str(sha256) for source, sha256 in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: damaged; delete it, which forgets what was pulled first") from error


def _remember(place: Source, listing: Listing) -> None:
    path = user_folder() / PULLED
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        temporary.write_text(json.dumps(_pulled() | {place.text: listing.sha256}, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
