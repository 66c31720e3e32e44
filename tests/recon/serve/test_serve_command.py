"""``recon serve`` as a process of its own: both servers are talked to, and a signal ends it cleanly."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import kspace, run_recon, start
from serve_client import SLICES, Client, scan

HAS_FASTAPI = importlib.util.find_spec("fastapi") is not None and importlib.util.find_spec("uvicorn") is not None


class Server:
    """A running ``recon serve``."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        (folder / "files").mkdir()
        ports = ("--ismrmrd-port", 0, "--http-port", 0, "--folder", folder / "files")
        self.files = folder / "files"
        self.process = start(folder, "serve", *ports, *arguments)
        self.lines: list[str] = []

    def until(self, words: str) -> str:
        """Read what it says up to a line with these words; the rest of that line."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if words in line:
                return line.partition(words)[2].strip()
        raise AssertionError(f"ended without {words!r}: {self.lines}")

    def read_token(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().removeprefix("token: ").strip()

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err


def ask(address: str, token: str, method: str = "GET", body: bytes | None = None) -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(address, body, headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return bytes(answer.read())


@pytest.mark.skipif(not HAS_FASTAPI, reason="the extra 'serve' is not installed")
def test_both_servers_reconstruct_and_stop(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        port = int(server.until("ISMRMRD: 127.0.0.1:"))
        address = server.until("HTTP: ")
        token = server.read_token()
        assert len(token) >= 32
        assert json.loads(ask(f"{address}/health", "")) == {"status": "ok", "use": "research only, not for diagnosis"}
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{address}/jobs", "")
        content = io.BytesIO()
        np.save(content, kspace())
        query = "modality=MR&name=scan.npy&axes=zyx&method=zero-filled"
        job = json.loads(ask(f"{address}/jobs?{query}", token, "POST", content.getvalue()))
        answer = scan(port)
        assert (len(answer.images), answer.texts) == (SLICES, [])
        while (state := json.loads(ask(f"{address}/jobs/{job['id']}", token)))["state"] in ("waiting", "running"):
            time.sleep(0.1)
        assert state["state"] == "done", state
        assert ask(f"{address}/jobs/{job['id']}/recon.nii.gz", token)[:2] == b"\x1f\x8b"
        assert list(server.files.iterdir()), "the result is kept while the server runs"
    except BaseException:
        server.process.kill()
        raise
    code, said = server.stop(signal.SIGTERM)
    assert code == 0, said
    assert "stopped" in said
    assert "Traceback" not in said
    assert token not in said, "it is printed once"
    assert list(server.files.iterdir()) == []


def test_the_ismrmrd_server_alone_needs_nothing_more_and_stops_in_the_middle(tmp_path: Path) -> None:
    server = Server(tmp_path, "--no-http", "--method", "zero-filled")
    try:
        port = int(server.until("ISMRMRD: 127.0.0.1:"))
        assert len(scan(port, "default.xml").images) == SLICES
        busy = Client(port)
        busy.config_file("tv.xml")
    except BaseException:
        server.process.kill()
        raise
    code, said = server.stop(signal.SIGINT)
    assert code == 0, said
    assert "Traceback" not in said
    assert list(server.files.iterdir()) == []
    busy.socket.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--no-http", "--no-ismrmrd"), "neither is served"),
        (("--no-http", "--method", "nothing"), "--method nothing"),
        (("--folder", "absent"), "--folder absent: no such folder"),
        (("--no-http", "--ismrmrd-port", "70000"), "70000"),
    ],
)
def test_what_cannot_be_served_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    run = run_recon("serve", *arguments)
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert words in run.err


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = run_recon("serve", "--no-http", "--ismrmrd-port", taken.getsockname()[1])
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert re.search(r"--ismrmrd-port \d+: Address already in use", run.err)


@pytest.mark.skipif(HAS_FASTAPI, reason="FastAPI is installed")
def test_without_fastapi_one_line_says_what_to_install() -> None:
    run = run_recon("serve")
    assert run.code == 2
    assert "pip install 'meddiffusion-recon[serve]'" in run.err


def test_a_short_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_SERVE_TOKEN", "1234")
    assert "must have 16 characters or more" in run_recon("serve").err
