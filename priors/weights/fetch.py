"""Fetch the official checkpoints from where their authors publish them.

Only https is spoken (plain http with this machine alone), a redirect leads to the host's own machines or nowhere,
no password or token is sent, not even one of ``.netrc``, and nothing larger than was stated is written. What came is
compared with the hash that is pinned in :data:`priors.weights.importing.RELEASED`, where one is, with the one that the
host states, and with that of the first import.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from priors.weights.card import Card
from priors.weights.importing import FILES, RELEASED, REPOSITORY, file_sha256, import_file
from priors.weights.store import prior_folder, user_folder

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

DOWNLOADS = ".downloads"
"""In the user's folder."""

SECONDS = 10
"""How long the host may be silent."""

LARGEST = 20 * 10**9
"""Bytes of a file beyond which none is fetched; the official ones have a few GB with their optimisers' states."""

OWN_MACHINES = ("huggingface.co", "hf.co")
"""Hugging Face serves the content of large files from machines of these domains."""

_REDIRECTS = 5

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
    _check_address(url, url)
    try:
        facts = get_hf_file_metadata(url, timeout=SECONDS, token=False)
    except Exception as error:  # the client's errors and its transport's have no base in common
        raise _no_connection(url, error) from error
    if facts.size is None or facts.size > LARGEST:
        raise ValueError(f"{url}: the host states {facts.size} bytes; at most {LARGEST} are fetched")
    version = hashlib.sha256(str(facts.etag).encode()).hexdigest()[:16]
    part = folder / f"{file}.{version}.part"
    folder.mkdir(parents=True, exist_ok=True)
    for other in set(folder.glob(f"{file}.*.part")) - {part}:
        other.unlink()  # of a version that is there no longer
    here = part.stat().st_size if part.exists() else 0
    if here == 0 or here != facts.size:
        _check_address(facts.location, url)
        _go_on(part, here, facts.location, facts.size, (lambda *now: on_bytes(file, *now)) if on_bytes else None)
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


def _check_address(url: str, first: str) -> None:
    """``ValueError`` for an address that is not https, or leads to a machine that is not the host's own."""
    try:
        parts, own = urlsplit(url), urlsplit(first)
        host, begun = (parts.hostname or "").lower(), (own.hostname or "").lower()
    except ValueError as error:
        raise ValueError(f"{first.partition('?')[0]}: no address ({error})") from error
    shown = f"{parts.scheme}://{host}"
    if parts.username or parts.password:
        raise ValueError(f"{shown}: an address with a password in it is not fetched from")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ValueError(f"{shown}: not https; nothing is fetched over an open line")
    if host != begun and not any(host == domain or host.endswith(f".{domain}") for domain in OWN_MACHINES):
        raise ValueError(
            f"{own.scheme}://{begun} leads to {shown}, which is none of its own machines; nothing was fetched"
        )


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _go_on(part: Path, here: int, url: str, size: int, on_bytes: Callable[[int, int], None] | None) -> None:
    """Append to a file of ``here`` bytes what is missing of its ``size``; never more."""
    import requests

    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    try:
        with _get(url, headers) as response:
            response.raise_for_status()
            goes_on = response.status_code == requests.codes.partial_content
            with part.open("ab" if goes_on else "wb") as target:
                for chunk in response.iter_content(2**18):
                    if target.tell() + len(chunk) > size:
                        raise ValueError(f"{url.partition('?')[0]}: sends more than the {size} bytes that it stated")
                    target.write(chunk)
                    if on_bytes is not None:
                        on_bytes(target.tell(), size)
    except requests.RequestException as error:
        raise _no_connection(url, error) from error
    except ValueError:
        part.unlink(missing_ok=True)
        raise
    if part.stat().st_size != size:
        raise _no_connection(url, f"{part.stat().st_size} of {size} bytes came")


def _get(url: str, headers: Mapping[str, str]) -> Response:
    """The answer to a request without credentials; redirects are followed within the host's own machines."""
    import requests

    first = url
    for _ in range(_REDIRECTS):
        response = requests.get(
            url, headers=headers, stream=True, timeout=SECONDS, allow_redirects=False, auth=_without_credentials
        )
        if not response.is_redirect:
            return response
        url = urljoin(url, response.headers["location"])
        response.close()
        _check_address(url, first)
    raise _no_connection(first, "it leads from one address to the next without an end")


def _without_credentials(request: PreparedRequest) -> PreparedRequest:
    """Takes the place of what ``.netrc`` holds for the host."""
    return request


def _no_connection(url: str, reason: Exception | str) -> ConnectionError:
    text = " ".join(str(reason).split()) or type(reason).__name__
    return ConnectionError(
        f"{url.partition('?')[0]} could not be fetched: {text[:200]}; try again, which goes on where it ended, or "
        "download it elsewhere and use 'recon weights import'"
    )
