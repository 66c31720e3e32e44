"""`recon view`: which volumes, and a server that gives them to nobody else."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest
from cli_helpers import ROOT, body, run_recon, start, write_ct

from recon.errors import InputError
from recon.view.server import ViewServer
from recon.view.volumes import find_volumes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a run leaves behind, and its input elsewhere."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_ct(tmp_path / "case.nii.gz")
    write_ct(folder / "recon.nii.gz")
    write_ct(folder / "std.nii.gz", np.abs(body()))
    (folder / "result.json").write_text(json.dumps({"input": str(tmp_path / "case.nii.gz")}))
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[ViewServer]:
    made = ViewServer(find_volumes([folder]))
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def get(address: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(address, timeout=20) as response:
            return response.status, response.read(), dict(response.headers)
    except HTTPError as error:
        return error.code, b"", {}


def test_a_folder_shows_its_input_its_results_and_the_deviation_as_overlay(folder: Path) -> None:
    shown = find_volumes([folder])
    assert [(each.label, each.is_overlay, each.window) for each in shown] == [
        ("case", False, (-160.0, 240.0)),
        ("recon", False, (-160.0, 240.0)),
        ("std", True, None),
    ]
    assert len(find_volumes([folder, folder / "recon.nii.gz"])) == 3, "each once"


def test_what_cannot_be_shown_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "note.nii").write_text("no volume")
    (tmp_path / "empty").mkdir()
    for path, message in ((tmp_path / "missing", "no such"), (tmp_path / "empty", "no NIfTI"), (tmp_path, "no NIfTI")):
        with pytest.raises(InputError, match=message):
            find_volumes([path])
    assert run_recon("view", tmp_path / "empty").code == 2


def test_the_page_and_the_listed_files_need_the_word(server: ViewServer, folder: Path) -> None:
    status, page, headers = get(server.address)
    assert status == 200
    assert b"Research only, not for diagnosis" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(f"{server.address}volume/1.nii.gz")[1] == (folder / "recon.nii.gz").read_bytes()
    assert get(f"{server.address}niivue.umd.js")[0] == 200
    root = server.address.replace(server.token + "/", "")
    for name in ("", "niivue.umd.js", "wrong/", "wrong/volume/0.nii.gz", "../../etc/passwd"):
        assert get(root + name)[0] == 404, name
    for name in ("volume/9.nii.gz", "volume/-1.nii.gz", "volume/..", "../server.py", "server.py", "page.html"):
        assert get(server.address + name)[0] == 404, name


def test_it_listens_on_the_loopback_interface_alone_and_under_its_own_name(server: ViewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 30
    connection = http.client.HTTPConnection(*server.server_address[:2])
    connection.request("GET", f"/{server.token}/", headers={"Host": "attacker.example"})
    assert connection.getresponse().status == 404


def test_ctrl_c_ends_it(folder: Path) -> None:
    process = start(folder, "view", "recon.nii.gz", "--no-open")
    assert process.stdout is not None
    address = re.match(r"(http://127\.0\.0\.1:\d+/[\w-]+/)  \(1 volumes", process.stdout.readline())
    assert address
    assert get(address[1])[0] == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) in (0, 130)


def test_niivue_is_the_file_that_the_notice_names_and_asks_for_nothing() -> None:
    script = (ROOT / "recon/view/niivue.umd.js").read_bytes()
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert hashlib.sha256(script).hexdigest() in notice
    assert "BSD 2-Clause" in (ROOT / "recon/view/LICENSE-niivue").read_text(encoding="utf-8")
    for name in ("page.html", "page.js", "page.css"):
        assert "http" not in (ROOT / "recon/view" / name).read_text(encoding="utf-8")
