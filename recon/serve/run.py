"""Both servers over one queue, until they are told to stop."""

from __future__ import annotations

import ipaddress
import os
import secrets
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from recon.errors import InputError
from recon.serve.jobs import Jobs
from recon.serve.limits import Limits
from recon.serve.order import AUTO
from recon.serve.stream import StreamServer

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Served:
    """What is served, and where.

    Attributes:
        host: the address of the network interface to listen on.
        stream_port: the port of the ISMRMRD server; None for none, 0 for a free one.
        http_port: the port of the HTTP API; None for none, 0 for a free one.
        method: the method of ISMRMRD clients that name none.
        token: the secret of the HTTP API; "" draws one.
        folder: the folder in which the private folder of uploads and results is made; None: that of temporary files.
        limits: the servers' bounds.
    """

    host: str = LOOPBACK
    stream_port: int | None = None
    http_port: int | None = None
    method: str = AUTO
    token: str = ""
    folder: Path | None = None
    limits: Limits = field(default_factory=Limits)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(served: Served, say: Callable[[str], None], show_token: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM raises ``KeyboardInterrupt``; then all jobs end and all files go.

    Args:
        served: what, and where.
        say: is told a line when a server listens, and about each connection.
        show_token: is told the token of the HTTP API, once.

    Raises:
        InputError: a missing package, or an address that cannot be listened on.
    """
    if served.stream_port is None and served.http_port is None:
        raise InputError("`no_ismrmrd`, `no_http`: neither is served; leave one of them out")
    if served.http_port is not None:
        _check_packages()
    old = os.umask(0o077)
    try:
        with tempfile.TemporaryDirectory(prefix="recon-serve-", dir=served.folder) as folder:
            jobs = Jobs(Path(folder), served.limits)
            try:
                _serve(served, jobs, say, show_token)
            except KeyboardInterrupt:
                say("stopped; jobs are ended, and all files of theirs are deleted")
            finally:
                jobs.close()
    finally:
        os.umask(old)


def _serve(served: Served, jobs: Jobs, say: Callable[[str], None], show_token: Callable[[str], None]) -> None:
    if not is_loopback(served.host):
        say(
            f"note: other machines reach {served.host}; the ISMRMRD protocol has no password, and HTTP is not encrypted"
        )
    stream = None
    try:
        if served.stream_port is not None:
            try:
                stream = StreamServer((served.host, served.stream_port), jobs, served.method, say)
            except OSError as error:
                raise InputError(f"`ismrmrd_port` {served.stream_port}: {error.strerror or error}") from error
            say(f"ISMRMRD: {served.host}:{stream.port}")
        if served.http_port is not None:
            _serve_http(served, jobs, say, show_token)
        else:
            threading.Event().wait()
    finally:
        if stream is not None:
            stream.close()


def _serve_http(served: Served, jobs: Jobs, say: Callable[[str], None], show_token: Callable[[str], None]) -> None:
    import socket

    import uvicorn

    from recon.serve.web import make_app

    token = served.token or secrets.token_urlsafe(24)
    hosts = frozenset({"localhost", "127.0.0.1", "::1", served.host}) if is_loopback(served.host) else frozenset()
    family = socket.AF_INET6 if ":" in served.host else socket.AF_INET
    try:
        listening = socket.create_server((served.host, served.http_port or 0), family=family)
    except OSError as error:
        raise InputError(f"`http_port` {served.http_port}: {error.strerror or error}") from error
    config = uvicorn.Config(
        make_app(jobs, token, hosts),
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=32,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
        lifespan="off",
    )
    with listening:
        say(f"HTTP: http://{served.host}:{listening.getsockname()[1]}")
        if not served.token:
            show_token(token)
        uvicorn.Server(config).run(sockets=[listening])
    raise KeyboardInterrupt  # it returns when a signal stopped it


def _check_packages() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise InputError(
            "`http`: FastAPI and uvicorn are not installed: pip install 'meddiffusion-recon[serve]'; or leave it out"
        ) from None
