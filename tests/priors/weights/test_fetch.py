"""Fetching official files: from a small server that speaks the host's protocol, and without one."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from file_host import FileHost

from priors.networks.biflownet import BiFlowNet
from priors.weights.card import read_card
from priors.weights.fetch import DOWNLOADS, download, fetch, files_of
from priors.weights.importing import RELEASED, originals
from priors.weights.networks import verify

pytestmark = pytest.mark.usefixtures("store")

FILE = "BiFlowNet_4x.pt"
ARGUMENTS = {
    "volume_channels": 2,
    "model_dim": 24,
    "dim_mults": [1, 1],
    "use_attn": [0, 0],
    "patch_size": 2,
    "num_dit": 1,
    "num_classes": 2,
    "vq_size": 64,
    "timesteps": 1000,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("official") / FILE
    official = {"dim": 24, "dim_mults": [1, 1], "use_sparse_linear_attn": [0, 0], "channels": 2, "cond_classes": 2}
    network = BiFlowNet.from_official_config(official | {"patch_size": 2})
    torch.save({"ema": dict(network.state_dict()), "args": argparse.Namespace(**ARGUMENTS)}, path)
    return path.read_bytes()


@pytest.fixture
def host(checkpoint: bytes) -> Iterator[FileHost]:
    host = FileHost("/MMorss/3D-MedDiffusion/resolve/main/")
    host.files[FILE] = checkpoint
    yield host
    host.close()


def weights_in(store: Path) -> list[Path]:
    return sorted(store.rglob("*.safetensors"))


def test_names_of_files_and_priors() -> None:
    assert files_of("official-8x") == ["PatchVolume_8x_s2.ckpt", "BiFlowNet_0453500.pt"]
    assert files_of(FILE) == [FILE]
    with pytest.raises(ValueError, match=r"'official-16x'; one of official-8x, official-4x, .*BiFlowNet_4x.pt"):
        files_of("official-16x")


def test_a_file_is_fetched_and_imported(host: FileHost, store: Path, checkpoint: bytes) -> None:
    (path,) = fetch(FILE, endpoint=host.endpoint)
    assert weights_in(store) == [path] == [store / "official-4x" / "biflownet.safetensors"]
    sha256 = hashlib.sha256(checkpoint).hexdigest()
    assert verify(path).extra["original_sha256"] == sha256
    assert originals() == {FILE: sha256}
    assert not list((store / DOWNLOADS).glob("*.pt"))
    asked = len(host.requests)
    assert fetch(FILE, endpoint=host.endpoint) == {}  # it is there
    assert len(host.requests) == asked
    assert list(fetch(FILE, endpoint=host.endpoint, overwrite=True)) == [path]


def test_a_download_that_was_cut_off_goes_on(host: FileHost, store: Path, checkpoint: bytes) -> None:
    host.cut_after = len(checkpoint) // 3
    for _ in range(2):
        with pytest.raises(ConnectionError, match=f"{FILE} could not be fetched.*goes on where it ended") as caught:
            fetch(FILE, endpoint=host.endpoint)
        assert "\n" not in str(caught.value)
        assert not weights_in(store)
    host.cut_after = None
    told: list[tuple[str, int, int]] = []
    (path,) = fetch(FILE, endpoint=host.endpoint, on_bytes=lambda *facts: told.append(facts))
    verify(path)
    assert originals() == {FILE: hashlib.sha256(checkpoint).hexdigest()}
    starts = [first for method, _, first in host.requests if method == "GET"]
    assert starts[0] == 0
    assert starts[1] > 0.2 * len(checkpoint)
    assert starts[2] > 0.5 * len(checkpoint)
    assert told[0][1] > starts[2]
    assert told[-1] == (FILE, len(checkpoint), len(checkpoint))


def test_a_download_that_was_complete_is_not_asked_for_again(host: FileHost, store: Path, checkpoint: bytes) -> None:
    path = download(FILE, host.endpoint)
    etag = hashlib.sha256(hashlib.sha256(checkpoint).hexdigest().encode()).hexdigest()[:16]
    path.rename(path.with_name(f"{FILE}.{etag}.part"))
    host.requests.clear()
    assert download(FILE, host.endpoint).read_bytes() == checkpoint
    assert [method for method, _, _ in host.requests] == ["HEAD"]


def test_a_part_of_another_version_is_not_gone_on_with(host: FileHost, store: Path, checkpoint: bytes) -> None:
    host.cut_after = 1_000_000
    with pytest.raises(ConnectionError):
        download(FILE, host.endpoint)
    host.files[FILE], host.cut_after = checkpoint[::-1], None
    assert download(FILE, host.endpoint).read_bytes() == checkpoint[::-1]
    assert [path.name for path in (store / DOWNLOADS).iterdir()] == [FILE]


def test_a_host_that_does_not_go_on(host: FileHost, checkpoint: bytes) -> None:
    host.cut_after = 1_000_000
    with pytest.raises(ConnectionError):
        download(FILE, host.endpoint)
    host.cut_after, host.ranges = None, False
    assert download(FILE, host.endpoint).read_bytes() == checkpoint


def test_another_file_than_the_first_is_refused_and_not_kept(host: FileHost, store: Path, checkpoint: bytes) -> None:
    (path,) = fetch(FILE, endpoint=host.endpoint)
    before = path.read_bytes()
    host.files[FILE] = checkpoint[:-1] + bytes([checkpoint[-1] ^ 1])
    (store / "official-4x").rename(store / "kept")
    with pytest.raises(ValueError, match=r"not the file that was first imported|damaged"):
        fetch(FILE, endpoint=host.endpoint)
    assert weights_in(store) == [store / "kept" / path.name]
    assert (store / "kept" / path.name).read_bytes() == before
    host.files[FILE] = checkpoint
    assert list(fetch(FILE, endpoint=host.endpoint)) == [path]


def test_the_hash_of_the_first_import_decides(host: FileHost, store: Path) -> None:
    store.mkdir()
    (store / "originals.json").write_text(json.dumps({FILE: "0" * 64}))
    with pytest.raises(ValueError, match=f"not the file that was first imported as {FILE}"):
        fetch(FILE, endpoint=host.endpoint)
    assert not weights_in(store)
    assert not list((store / DOWNLOADS).glob("*.pt"))


def test_one_of_two_that_is_missing_at_the_host(host: FileHost, store: Path) -> None:
    with pytest.raises(ConnectionError, match=r"PatchVolume_4x_s2.ckpt could not be fetched: .*404") as caught:
        fetch("official-4x", endpoint=host.endpoint)
    assert "\n" not in str(caught.value)
    assert not weights_in(store)


def test_what_comes_is_no_checkpoint(host: FileHost, store: Path) -> None:
    host.files[FILE] = b"<html>please sign in</html>"
    with pytest.raises(ValueError, match="refused, nothing was run"):
        fetch(FILE, endpoint=host.endpoint)
    assert not list(store.rglob(FILE))
    assert originals() == {}


def test_without_a_network_one_line_and_soon(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"{endpoint}.*{FILE} could not be fetched") as caught:
            fetch(FILE, endpoint=endpoint)
    assert sum(waits) < 8, "seconds between tries"
    assert "\n" not in str(caught.value)
    assert "recon weights import" in str(caught.value)
    assert not weights_in(store)


def test_the_card_knows_where_it_is_from(host: FileHost, store: Path) -> None:
    (path,) = fetch("BiFlowNet_4x.pt", endpoint=host.endpoint)
    card = read_card(path)
    assert "MMorss/3D-MedDiffusion" in card.source
    assert card.extra["timesteps"] == 1000
    shutil.rmtree(store)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://example.org", "not https"),
        ("ftp://example.org", "not https"),
        ("https://user:secret@example.org", "password"),
    ],
)
def test_addresses_that_are_not_to_be_trusted(store: Path, endpoint: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        fetch(FILE, endpoint=endpoint)
    assert "secret" not in str(caught.value)
    assert not store.exists() or not list(store.rglob("*.part"))


@pytest.mark.parametrize(
    "there", ["http://127.0.0.2:9/a", "https://evil.example/a", "https://nothf.co/a", "file:///etc/passwd"]
)
def test_no_redirect_leads_to_foreign_machines(host: FileHost, store: Path, there: str) -> None:
    host.leads_to = there
    with pytest.raises(ValueError, match=r"none of its own machines|not https"):
        fetch(FILE, endpoint=host.endpoint)
    assert not weights_in(store)


def test_no_credentials_are_sent(host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(FILE, endpoint=host.endpoint)
    assert host.credentials == []


def test_no_more_is_written_than_was_stated(host: FileHost, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.more = b"more" * 100
    with pytest.raises(ValueError, match="sends more than the"):
        fetch(FILE, endpoint=host.endpoint)
    assert not list(store.rglob("*.part"))
    monkeypatch.setattr("priors.weights.fetch.LARGEST", 1000)
    with pytest.raises(ValueError, match="at most 1000 are fetched"):
        fetch(FILE, endpoint=host.endpoint)


def test_what_came_has_the_hash_that_is_pinned_and_that_was_stated(
    host: FileHost, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.etag = "0" * 64
    with pytest.raises(ValueError, match="the one that the host states is 0000"):
        fetch(FILE, endpoint=host.endpoint)
    host.etag = ""
    monkeypatch.setitem(RELEASED, FILE, RELEASED[FILE]._replace(sha256="1" * 64))
    with pytest.raises(ValueError, match="the one pinned here is 1111"):
        fetch(FILE, endpoint=host.endpoint)
    assert not weights_in(store)
    assert not list(store.rglob("*.part"))
