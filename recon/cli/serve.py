"""``recon serve``: reconstructions asked for over a socket."""

from __future__ import annotations

import os
from pathlib import Path

import click

from recon.cli.console import say
from recon.cli.options import PATH, GroupedCommand, option
from recon.errors import InputError

TOKEN_VARIABLE = "RECON_SERVE_TOKEN"
_SHORTEST_TOKEN = 16


@click.command(cls=GroupedCommand)
@option("--host", group="Network", default="127.0.0.1", help="Address of the network interface to listen on.")
@option(
    "--ismrmrd-port", group="Network", type=click.IntRange(0, 65535), default=9002, help="Port; 0 takes a free one."
)
@option("--http-port", group="Network", type=click.IntRange(0, 65535), default=8137, help="Port; 0 takes a free one.")
@option("--no-ismrmrd", group="Network", is_flag=True, help="Leave out the ISMRMRD server.")
@option("--no-http", group="Network", is_flag=True, help="Leave out the HTTP API, which needs the extra 'serve'.")
@option("--method", group="Method", default="auto", help="Method of ISMRMRD clients whose configuration names none.")
@option("--largest", group="Limits", type=click.IntRange(1), default=2048, metavar="MB", help="Size of an upload.")
@option("--waiting", group="Limits", type=click.IntRange(1, 1000), default=4, help="Number of jobs that may wait.")
@option("--seconds", group="Limits", type=click.FloatRange(1), default=3600.0, help="Time that a job may compute.")
@option("--kept", group="Limits", type=click.IntRange(1, 10000), default=20, help="Number of results that are kept.")
@option("--keeping", group="Limits", type=click.FloatRange(1), default=60.0, help="Minutes that a result is kept.")
@option(
    "--folder",
    group="Limits",
    type=PATH,
    default=None,
    help="Folder in which the private folder of uploads and results is made.  [default: that of temporary files]",
)
def serve(
    host: str,
    ismrmrd_port: int,
    http_port: int,
    no_ismrmrd: bool,
    no_http: bool,
    method: str,
    largest: int,
    waiting: int,
    seconds: float,
    kept: int,
    keeping: float,
    folder: Path | None,
) -> None:
    """Reconstruct what clients send: raw data of scanners in the ISMRMRD protocol, or files over HTTP.

    The ISMRMRD server takes what Gadgetron's clients send, and sends the images back. The HTTP API takes an upload,
    queues it, tells the progress and gives the result; its random token is printed once, or taken from
    $RECON_SERVE_TOKEN. Both listen on this machine alone unless --host says otherwise. Ctrl-C stops both, and deletes
    uploads and results. Research only, not for diagnosis.

    \b
    recon serve
    recon serve --no-http --method tv
    curl -H "Authorization: Bearer $TOKEN" --data-binary @scan.h5 'http://127.0.0.1:8137/jobs?modality=MR&name=scan.h5'
    """
    from recon.methods import get_method
    from recon.run.choose import AUTO
    from recon.serve.limits import Limits
    from recon.serve.run import Served
    from recon.serve.run import serve as run_servers

    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and len(token) < _SHORTEST_TOKEN:
        raise InputError(f"${TOKEN_VARIABLE}: must have {_SHORTEST_TOKEN} characters or more")
    if method != AUTO:
        get_method("MR", method)
    if folder is not None and not folder.is_dir():
        raise InputError(f"`folder` {folder}: no such folder")
    limits = Limits(upload_bytes=largest * 2**20, waiting=waiting, seconds=seconds, kept=kept, keeping=60 * keeping)
    served = Served(
        host=host,
        stream_port=None if no_ismrmrd else ismrmrd_port,
        http_port=None if no_http else http_port,
        method=method,
        token=token,
        folder=folder,
        limits=limits,
    )
    run_servers(served, say, lambda text: click.echo(f"token: {text}"))
