"""A server that scanners and Gadgetron's clients send readouts to, and that sends images back.

One connection is served at a time; a few wait. The protocol knows no password: who can connect can have scans
reconstructed, and nothing else. Names that a client sends are never names of files.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from recon.errors import InputError, RunError
from recon.serve import messages
from recon.serve.images import images_of
from recon.serve.jobs import Job, Jobs
from recon.serve.limits import Limits
from recon.serve.order import AUTO, Order
from recon.serve.raw_file import RawFile

PORT = 9002
"""The port of Gadgetron."""

FILE = "input.h5"
_WAITING = 4
_TEXT_BYTES = 2**20
_SEND_SECONDS = 60.0
_CONFIG_ENDS = (".xml", ".json")


@dataclass
class _Connection:
    """The socket of a client, read in whole messages within the server's bounds."""

    socket: socket.socket
    limits: Limits
    stop: threading.Event

    def __post_init__(self) -> None:
        self._stream = self.socket.makefile("rb")
        self._until = time.monotonic() + self.limits.receiving
        self.left = self.limits.upload_bytes
        self.socket.settimeout(self.limits.silence)

    def read(self, count: int) -> bytes:
        """So many bytes; :class:`RunError` where the connection ends, is silent, or takes too long."""
        if self.stop.is_set():
            raise RunError("the server stops")
        if time.monotonic() > self._until:
            raise RunError(f"the readouts took longer than {self.limits.receiving:g} s")
        self.left -= count
        if self.left < 0:
            raise InputError(f"more than the {self.limits.upload_bytes} bytes that one measurement may have")
        try:
            content = self._stream.read(count)
        except TimeoutError:
            raise RunError(f"nothing came for {self.limits.silence:g} s") from None
        if len(content) != count:
            raise RunError("the connection ended in the middle of a message")
        return content


class StreamServer:
    """A server of the ISMRMRD protocol in a thread of its own.

    Args:
        address: the host and port to listen on; port 0 takes a free one.
        jobs: the queue that reconstructs.
        method: the method of clients that name none.
        say: is told a line about each connection.
    """

    def __init__(
        self, address: tuple[str, int], jobs: Jobs, method: str = AUTO, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._jobs, self._method, self._say = jobs, method, say
        self._stop = threading.Event()
        self._client: socket.socket | None = None
        self._socket = socket.create_server(address, backlog=_WAITING, family=_family(address[0]))
        self._socket.settimeout(0.5)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="recon-ismrmrd", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end the connection that is served."""
        self._stop.set()
        if self._client is not None:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._socket.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with client:
                self._client = client
                self._answer(client)
                self._client = None

    def _answer(self, client: socket.socket) -> None:
        """Serve one client; what goes wrong is told to it in one line."""
        try:
            with self._jobs.receive() as job:
                self._reconstruct(_Connection(client, self._jobs.limits, self._stop), job)
        except (InputError, RunError, ValueError) as error:
            line = " ".join(str(error).split())
            self._say(f"ismrmrd: refused: {line}")
            with suppress(OSError):
                client.settimeout(_SEND_SECONDS)
                client.sendall(messages.text_message(f"error: {line}") + messages.close_message())
        except OSError as error:
            self._say(f"ismrmrd: the connection broke ({error.strerror or error})")

    def _reconstruct(self, connection: _Connection, job: Job) -> None:
        order, count = self._receive(connection, job)
        self._jobs.submit(job, order)
        self._say(f"ismrmrd: {count} readouts, job {job.id} ({order.method})")
        self._jobs.wait(job, self._stop)
        try:
            if job.state != "done":
                raise RunError(job.error or "the job was ended")
            connection.socket.settimeout(_SEND_SECONDS)
            sent = 0
            for message in images_of(job.result / "recon.nii.gz", order.method):
                connection.socket.sendall(message)
                sent += 1
        finally:
            self._jobs.delete(job.id)
        connection.socket.sendall(messages.close_message())
        self._say(f"ismrmrd: {sent} images sent, job {job.id}")

    def _receive(self, connection: _Connection, job: Job) -> tuple[Order, int]:
        """Write what a client sends to the job's file, up to its closing message."""
        wanted: dict[str, Any] = {"method": self._method}
        read, header = connection.read, ""
        while not header:
            number = messages.read_number(read)
            if number == messages.CONFIG_FILE:
                wanted |= _of_name(messages.read_config_file(read), self._method)
            elif number == messages.CONFIG_TEXT:
                wanted |= _of_text(messages.read_text(read, _TEXT_BYTES))
            elif number == messages.HEADER:
                header = messages.read_text(read, _TEXT_BYTES)
            elif number == messages.TEXT:
                messages.read_text(read, _TEXT_BYTES)
            else:
                raise InputError(f"message {number} came before the header")
        order = Order("MR", FILE, **wanted)
        order.check()  # before the readouts come
        with RawFile(job.folder / FILE, header) as file:
            while (number := messages.read_number(read)) != messages.CLOSE:
                if number == messages.ACQUISITION:
                    file.add(*messages.read_acquisition(read, connection.left))
                elif number == messages.WAVEFORM:
                    messages.skip_waveform(read, connection.left)
                elif number in (messages.TEXT, messages.CONFIG_TEXT):
                    messages.read_text(read, _TEXT_BYTES)
                else:
                    raise InputError(
                        f"message {number} is not taken; readouts (1008) are, and waveforms are passed over"
                    )
        return order, file.count


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _of_name(name: str, usual: str) -> dict[str, Any]:
    """What the name of a configuration asks for: a method, such as ``tv.xml``; ``default.xml`` is the server's own."""
    stem = name.strip()
    for end in _CONFIG_ENDS:
        stem = stem.removesuffix(end)
    return {"method": usual if stem.lower() in ("", "default") else stem}


def _of_text(text: str) -> dict[str, Any]:
    """What a configuration in JSON asks for: ``{"method": "tv", "settings": {"iterations": 50}}``."""
    if not text.strip():
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    known = {"method": str, "settings": dict, "seed": int}
    if not isinstance(values, dict) or not all(isinstance(value, known.get(key, ())) for key, value in values.items()):
        raise InputError('the configuration must be JSON such as {"method": "tv", "settings": {"iterations": 50}}')
    return values
