"""Downloads over https alone (plain http with this machine only).

A redirect leads to the host's own machines or nowhere, no password or token is sent, not even one of ``.netrc``, and
nothing larger than was stated is written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

SECONDS = 10
"""How long the host may be silent."""

OWN_MACHINES = ("huggingface.co", "hf.co")
"""Hugging Face serves the content of large files from machines of these domains."""

IMPORT = "download it elsewhere and use 'recon weights import'"
"""What to do where a file cannot be fetched."""

_REDIRECTS = 5


def check_address(url: str, first: str) -> None:
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


def go_on(
    part: Path,
    here: int,
    url: str,
    size: int,
    on_bytes: Callable[[int, int], None] | None,
    *,
    instead: str = IMPORT,
) -> None:
    """Append to a file of ``here`` bytes what is missing of its ``size``; never more.

    Args:
        part: the file.
        here: the number of bytes that it has; 0 where it does not exist.
        url: the address of the whole file.
        size: the number of bytes of the whole file.
        on_bytes: is told how many bytes of how many are here.
        instead: what the user can do where the file cannot be fetched, for the message.

    Raises:
        ConnectionError: the host cannot be reached, breaks off, or does not have the file.
        ValueError: more bytes than ``size``, or a redirect to a machine that is not to be trusted.
    """
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
        raise no_connection(url, error, instead) from error
    except ValueError:
        part.unlink(missing_ok=True)
        raise
    if part.stat().st_size != size:
        raise no_connection(url, f"{part.stat().st_size} of {size} bytes came", instead)


def read_small(url: str, largest: int) -> bytes:
    """The content of a small file.

    Raises:
        ConnectionError: the host cannot be reached, breaks off, or does not have the file.
        ValueError: an address that is not to be trusted, or more than ``largest`` bytes.
    """
    import requests

    check_address(url, url)
    content = bytearray()
    try:
        with _get(url, {"Accept-Encoding": "identity"}) as response:
            response.raise_for_status()
            for chunk in response.iter_content(2**14):
                content += chunk
                if len(content) > largest:
                    raise ValueError(f"{url}: has more than {largest} bytes, which no such file has")
    except requests.RequestException as error:
        raise no_connection(url, error) from error
    return bytes(content)


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
        check_address(url, first)
    raise no_connection(first, "it leads from one address to the next without an end")


def _without_credentials(request: PreparedRequest) -> PreparedRequest:
    """Takes the place of what ``.netrc`` holds for the host."""
    return request


def no_connection(url: str, reason: Exception | str, instead: str = IMPORT) -> ConnectionError:
    """The error of a file that cannot be fetched, in one line with its reason and what to do ``instead``."""
    text = " ".join(str(reason).split()) or type(reason).__name__
    return ConnectionError(
        f"{url.partition('?')[0]} could not be fetched: {text[:200]}; try again, which goes on where it ended, or "
        f"{instead}"
    )
