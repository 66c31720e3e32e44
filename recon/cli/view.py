"""``recon view``: look at volumes in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from recon.cli.flags import FlaggedCommand
from recon.cli.options import PATH


@click.command(cls=FlaggedCommand)
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="a free one",
    help="Port on the loopback interface.",
)
@click.option("--open/--no-open", "opens", default=True, help="Open the page in the browser.  [default: open]")
def view(paths: tuple[Path, ...], port: int, opens: bool) -> None:
    """Look at volumes: planes and 3D, overlays, a window by dragging.

    PATHS are folders that runs wrote, or NIfTI files. The page is served on this machine alone, under an address with a
    random word, until Ctrl-C. It uses no network. Drag with the right mouse button to set the window to what the
    rectangle holds; F shows the next image at the same place.

    \b
    recon view runs/first
    recon view recon.nii.gz truth.nii.gz std.nii.gz
    """
    from recon.errors import InputError
    from recon.view.server import ViewServer
    from recon.view.volumes import find_volumes

    volumes = find_volumes(paths)
    try:
        server = ViewServer(volumes, port)
    except OSError as error:
        raise InputError(f"`port` {port}: {error.strerror or error}; leave it out to take a free one") from error
    click.echo(f"{server.address}  ({len(volumes)} volumes; Ctrl-C ends it)")
    if opens:
        import webbrowser

        webbrowser.open(server.address)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
