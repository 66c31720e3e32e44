"""A small server of weights files, for the tests of what downloads them."""

from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileHost:
    """A server of files, as Hugging Face serves those of a repository.

    Args:
        prefix: the beginning of every address, before the file's name.
        folder: the folder whose files it has beside those in ``files``.
    """

    def __init__(self, prefix: str, folder: Path | None = None) -> None:
        self.prefix, self.folder = prefix, folder
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, int]] = []  # method, file, first byte asked for
        self.cut_after: int | None = None  # bytes after which connections break
        self.ranges = True  # whether it sends parts
        self.leads_to = ""  # where a download of weights is sent on to
        self.etag = ""  # stated in place of the content's hash
        self.more = b""  # sent after the content
        self.credentials: list[str] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                host.answer(self, body=False)

            def do_GET(self) -> None:
                host.answer(self, body=True)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.address = self.endpoint + prefix.rstrip("/")
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def content(self, name: str) -> bytes | None:
        """A file that it has; None for any other."""
        path = self.folder / name if self.folder else None
        return path.read_bytes() if path and path.is_file() else self.files.get(name)

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        name = request.path.partition(self.prefix)[2]
        start = self.ranges * int((re.match(r"bytes=(\d+)-", request.headers.get("Range", "")) or ["", "0"])[1])
        self.requests.append((request.command, name, start))
        self.credentials += [
            value for key, value in request.headers.items() if key.lower() in ("authorization", "cookie")
        ]
        content = self.content(name)
        if content is None:
            request.send_error(404)
            return
        if self.leads_to and body and not name.endswith(".json"):
            request.send_response(302)
            request.send_header("Location", self.leads_to)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        request.send_header("ETag", f'"{self.etag or hashlib.sha256(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", "a" * 40)
        request.send_header("Content-Length", str(len(content) - start + (len(self.more) if body else 0)))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        if body:
            request.wfile.write((content[start:] + self.more)[: self.cut_after])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
