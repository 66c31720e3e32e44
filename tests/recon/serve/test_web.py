"""The HTTP API: upload, queue, progress, result, delete; nothing without the token."""

from __future__ import annotations

import gzip
import io
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from cli_helpers import kspace

from recon.serve.jobs import Jobs
from recon.serve.limits import Limits

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from fastapi.testclient import TestClient

from recon.serve.web import make_app

TOKEN = "a token of this test"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
MR = {"modality": "MR", "name": "scan.npy", "axes": "zyx", "method": "zero-filled"}


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    queue = Jobs(tmp_path, Limits(upload_bytes=200_000))
    yield queue
    queue.close()


@pytest.fixture
def client(jobs: Jobs) -> TestClient:
    return TestClient(make_app(jobs, TOKEN, frozenset({"localhost"})), "http://localhost", headers=HEADERS)


def scan() -> bytes:
    content = io.BytesIO()
    np.save(content, kspace())
    return content.getvalue()


def ended(client: TestClient, name: str) -> dict[str, Any]:
    while (job := client.get(f"/jobs/{name}").json())["state"] in ("waiting", "running"):
        time.sleep(0.1)
    return dict(job)


def test_from_upload_to_result_to_nothing(client: TestClient, jobs: Jobs, tmp_path: Path) -> None:
    answer = client.post("/jobs", params=MR, content=scan())
    assert answer.status_code == 202, answer.text
    name = answer.json()["id"]
    assert client.get(f"/jobs/{name}/recon.nii.gz").status_code == 409
    job = ended(client, name)
    assert job["state"] == "done", job
    assert job["files"] == ["recon.nii.gz", "result.json", "report.html"]
    volume = nibabel.Nifti1Image.from_bytes(gzip.decompress(client.get(f"/jobs/{name}/recon.nii.gz").content))
    assert volume.shape[::-1] == kspace().shape
    assert json.loads(client.get(f"/jobs/{name}/result.json").content)["results"][0]["method"] == "zero-filled"
    report = client.get(f"/jobs/{name}/report.html")
    assert "sandbox" in report.headers["content-security-policy"]
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert [each["id"] for each in client.get("/jobs").json()] == [name]
    assert client.delete(f"/jobs/{name}").status_code == 204
    assert client.get(f"/jobs/{name}").status_code == 404
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_none_fails_its_job_in_one_line(client: TestClient) -> None:
    name = client.post("/jobs", params=MR | {"name": "a.h5", "axes": ""}, content=b"import os").json()["id"]
    job = ended(client, name)
    assert job["state"] == "failed"
    assert "input.h5" in job["error"]
    assert "/" not in job["error"].replace("and/or", "")
    assert client.get(f"/jobs/{name}/result.json").status_code == 409


def test_nothing_without_the_token(client: TestClient, jobs: Jobs) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer é"}):
        bare = TestClient(client.app, "http://localhost", headers={k: v.encode() for k, v in headers.items()})
        for method, path in (
            ("GET", "/jobs"),
            ("POST", "/jobs"),
            ("GET", "/methods"),
            ("GET", "/jobs/x"),
            ("GET", "/jobs/x/recon.nii.gz"),
            ("DELETE", "/jobs/x"),
        ):
            assert bare.request(method, path, params=MR, content=b"x").status_code == 401, (method, path)
        assert bare.get("/health").status_code == 200
        for path in ("/docs", "/openapi.json", "/redoc"):
            assert bare.get(path).status_code == 404
    assert jobs.list() == []


def test_no_other_site_reaches_it_through_a_name_of_its_own(client: TestClient) -> None:
    other = TestClient(client.app, "http://evil.example", headers=HEADERS)
    assert other.get("/jobs").status_code == 421


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"name": "run.py"}, 422),
        ({"modality": "PET"}, 422),
        ({"method": "nothing"}, 422),
        ({"settings": '{"weights": "/etc/passwd"}'}, 422),
        ({"settings": "[1]"}, 422),
        ({"settings": "{" * 9000}, 422),
        ({"mask": "/etc/passwd"}, 422),
        ({"seed": -1}, 422),
    ],
)
def test_orders_that_cannot_be_are_refused_before_the_upload_is_kept(
    client: TestClient, tmp_path: Path, values: dict[str, Any], code: int
) -> None:
    answer = client.post("/jobs", params=MR | values, content=scan())
    assert answer.status_code == code
    assert list(tmp_path.iterdir()) == []


def test_uploads_are_bounded(client: TestClient, tmp_path: Path) -> None:
    assert client.post("/jobs", params=MR, content=b"x" * 200_001).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(300):
            yield b"x" * 1000

    assert client.post("/jobs", params=MR, content=endless()).status_code == 413
    assert client.post("/jobs", params=MR, content=b"").status_code == 422
    assert list(tmp_path.iterdir()) == []


def test_the_queue_is_bounded(client: TestClient, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "limits", Limits(waiting=1))
    with jobs.receive():
        answer = client.post("/jobs", params=MR, content=scan())
    assert answer.status_code == 429
    assert "wait already" in answer.json()["detail"]


@pytest.mark.parametrize("file", ["..%2F..%2Forder.json", "order.json", "input.npy", "%2Fetc%2Fpasswd"])
def test_no_other_file_is_given_out(client: TestClient, file: str) -> None:
    name = client.post("/jobs", params=MR, content=b"nothing").json()["id"]
    assert client.get(f"/jobs/{name}/{file}").status_code == 404
