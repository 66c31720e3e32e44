"""Fetch the official checkpoints from where their authors publish them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from priors.weights.card import Card
from priors.weights.importing import FILES, RELEASED, REPOSITORY, import_file
from priors.weights.store import prior_folder, user_folder

DOWNLOADS = ".downloads"
"""In the user's folder."""

SECONDS = 10
"""How long the host may be silent."""

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
        OSError: it cannot be written.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # a second to import, which only this needs

    folder = user_folder() / DOWNLOADS
    url = hf_hub_url(REPOSITORY, file, endpoint=endpoint)
    try:
        facts = get_hf_file_metadata(url, timeout=SECONDS, token=False)
    except Exception as error:  # the client's errors and its transport's have no base in common
        raise _no_connection(url, error) from error
    version = hashlib.sha256(str(facts.etag).encode()).hexdigest()[:16]
    part = folder / f"{file}.{version}.part"
    folder.mkdir(parents=True, exist_ok=True)
    for other in set(folder.glob(f"{file}.*.part")) - {part}:
        other.unlink()  # of a version that is there no longer
    here = part.stat().st_size if part.exists() else 0
    if here == 0 or here != facts.size:
        _go_on(part, here, facts.location, facts.size, (lambda *now: on_bytes(file, *now)) if on_bytes else None)
    return part.replace(folder / file)


def _go_on(part: Path, here: int, url: str, size: int | None, on_bytes: Callable[[int, int], None] | None) -> None:
    """Append to a file of ``here`` bytes what is missing of its ``size``."""
    import requests

    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS) as response:
            response.raise_for_status()
            goes_on = response.status_code == requests.codes.partial_content
            with part.open("ab" if goes_on else "wb") as target:
                for chunk in response.iter_content(2**18):
                    target.write(chunk)
                    if on_bytes is not None:
                        on_bytes(target.tell(), size or target.tell())
    except requests.RequestException as error:
        raise _no_connection(url, error) from error
    if size is not None and part.stat().st_size != size:
        raise _no_connection(url, f"{part.stat().st_size} of {size} bytes came")


def _no_connection(url: str, reason: Exception | str) -> ConnectionError:
    text = " ".join(str(reason).split()) or type(reason).__name__
    return ConnectionError(
        f"{url.partition('?')[0]} could not be fetched: {text[:200]}; try again, which goes on where it ended, or "
        "download it elsewhere and use 'recon weights import'"
    )
