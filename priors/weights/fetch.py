"""Fetch the official checkpoints from where their authors publish them.

How is said in :mod:`priors.weights.transport`; nothing larger than was stated is written. What came is compared
with the hash that is pinned in :data:`priors.weights.importing.RELEASED`, where one is, with the one that the host
states, and with that of the first import.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from priors.weights.card import Card
from priors.weights.importing import FILES, RELEASED, REPOSITORY, file_sha256, import_file
from priors.weights.store import prior_folder, user_folder
from priors.weights.transport import SECONDS, check_address, go_on, no_connection

DOWNLOADS = ".downloads"
"""In the user's folder."""

LARGEST = 20 * 10**9
"""Bytes of a file beyond which none is fetched; the official ones have a few GB with their optimisers' states."""

OnBytes = Callable[[str, int, int], None]
"""Called with a file's name, how many bytes of it are here, and how many it has."""


def files_of(name: str) -> list[str]:
    """The official files that a name means: a file's own, or a prior's such as ``official-8x``.

    Raises:
        ValueError: none.
    """
    files = [file for file, released in RELEASED.items() if name in (file, released.prior)]
    if not files:
        priors = dict.fromkeys(released.prior for released in RELEASED.values())
        raise ValueError(f"nothing official has the name {name!r}; one of {', '.join([*priors, *RELEASED])}")
    return files


def fetch(
    name: str,
    *,
    overwrite: bool = False,
    endpoint: str | None = None,
    settings: Mapping[str, int] | None = None,
    on_bytes: OnBytes | None = None,
) -> dict[Path, Card]:
    """Download official files and import them; what is there already is left as it is.

    Args:
        name: the name of a file, or of a prior: both of its files.
        overwrite: fetch and replace what is there, too.
        endpoint: the address of the host; None is Hugging Face's, or ``$HF_ENDPOINT``.
        settings: the sizes that the checkpoint does not state, see :func:`priors.weights.official.load_biflownet`.
        on_bytes: is told about the progress.

    Returns:
        The files written, with their cards.

    Raises:
        ValueError: nothing has that name; or what came is not what was imported first, or no checkpoint.
        ConnectionError: the host cannot be reached, breaks off, or does not have the file.
    """
    written: dict[Path, Card] = {}
    for file in files_of(name):
        released = RELEASED[file]
        if overwrite or not (prior_folder(released.prior) / FILES[released.kind]).exists():
            path = download(file, endpoint, on_bytes)
            try:
                written |= import_file(path, overwrite=overwrite, settings=settings)
            except ValueError:
                path.unlink()  # the next try downloads it anew
                raise
            path.unlink()
    return written


def download(file: str, endpoint: str | None = None, on_bytes: OnBytes | None = None) -> Path:
    """An official file in the user's download folder.

    What came before a connection broke, or before the process ended, is gone on with; huggingface_hub's own download
    starts again.

    Raises:
        ConnectionError: as :func:`fetch`.
        ValueError: an address that is not to be trusted, a file that is too large, or what came is not what was stated.
        OSError: it cannot be written.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # a second to import, which only this needs

    folder = user_folder() / DOWNLOADS
    url = hf_hub_url(REPOSITORY, file, endpoint=endpoint)
    check_address(url, url)
    try:
        facts = get_hf_file_metadata(url, timeout=SECONDS, token=False)
    except Exception as error:  # the client's errors and its transport's have no base in common
        raise no_connection(url, error) from error
    if facts.size is None or facts.size > LARGEST:
        raise ValueError(f"{url}: the host states {facts.size} bytes; at most {LARGEST} are fetched")
    version = hashlib.sha256(str(facts.etag).encode()).hexdigest()[:16]
    part = folder / f"{file}.{version}.part"
    folder.mkdir(parents=True, exist_ok=True)
    for other in set(folder.glob(f"{file}.*.part")) - {part}:
        other.unlink()  # of a version that is there no longer
    here = part.stat().st_size if part.exists() else 0
    if here == 0 or here != facts.size:
        check_address(facts.location, url)
        go_on(part, here, facts.location, facts.size, (lambda *now: on_bytes(file, *now)) if on_bytes else None)
    _check_content(part, file, str(facts.etag))
    return part.replace(folder / file)


def _check_content(part: Path, file: str, stated: str) -> None:
    """``ValueError`` where a file's SHA-256 is not the pinned one, or the one that the host states of large files."""
    found = file_sha256(part)
    for whose, wanted in (("pinned here", RELEASED[file].sha256), ("that the host states", stated)):
        if re.fullmatch("[0-9a-f]{64}", wanted) and found != wanted:
            part.unlink()
            raise ValueError(
                f"{file}: what came has the sha256 {found}, and the one {whose} is {wanted}; nothing is kept"
            )
