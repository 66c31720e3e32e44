"""The page's server: loopback only, a random word in every address, the listed files and nothing else."""

from __future__ import annotations

import hmac
import html
import json
import secrets
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from recon.view.volumes import Shown

HERE = Path(__file__).parent
LOOPBACK = "127.0.0.1"

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: its own files and nothing of any other place."""

_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "niivue.umd.js": "text/javascript",
}


class ViewServer(ThreadingHTTPServer):
    """A server of some volumes on the loopback interface.

    Attributes:
        volumes: what is shown.
        token: the word that every address begins with.
    """

    daemon_threads = True

    def __init__(self, volumes: Sequence[Shown], port: int = 0) -> None:
        self.volumes, self.token = tuple(volumes), secrets.token_urlsafe(24)
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/{self.token}/"

    def page(self) -> str:
        """The page."""
        listed = [
            {
                # NiiVue tells the format by the end of the name
                "url": f"volume/{number}{''.join(each.path.suffixes[-2:]) if each.path.suffix == '.gz' else '.nii'}",
                "label": each.label,
                "overlay": each.is_overlay,
                "window": each.window,
            }
            for number, each in enumerate(self.volumes)
        ]
        text = (HERE / "page.html").read_text(encoding="utf-8")
        return text.replace("@VOLUMES@", html.escape(json.dumps(listed)))


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    server_version, sys_version = "recon", ""

    def do_GET(self) -> None:
        host = f"{LOOPBACK}:{self.server.server_address[1]}"
        # A page of another place must neither guess the word nor reach this server under another name.
        _, token, *rest = [*self.path.split("?")[0].split("/", 2), ""][:3]
        known = hmac.compare_digest(token.encode(), self.server.token.encode()) and self.headers.get("Host") == host
        body, kind = self._find(rest[0]) if known else (None, "")
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _find(self, name: str) -> tuple[bytes | None, str]:
        """What lies under a name, and its type; None where there is no such thing."""
        if name == "":
            return self.server.page().encode(), "text/html; charset=utf-8"
        if name in _FILES:
            return (HERE / name).read_bytes(), f"{_FILES[name]}; charset=utf-8"
        number = name.removeprefix("volume/").split(".")[0]
        if name.startswith("volume/") and number.isdecimal() and int(number) < len(self.server.volumes):
            return self.server.volumes[int(number)].path.read_bytes(), "application/octet-stream"
        return None, ""

    def log_message(self, *arguments: Any) -> None:
        """Say nothing: addresses hold the word."""
