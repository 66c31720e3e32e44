"""Weights passed on in the layout of a Hugging Face repository: to a folder and back, and from a small server."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from file_host import FileHost
from tiny_prior import write_prior

from priors.weights.card import read_card, read_tensors, save_weights
from priors.weights.fetch import DOWNLOADS
from priors.weights.importing import file_sha256
from priors.weights.pull import PULLED, pull, source_of
from priors.weights.push import push
from priors.weights.repository import LIST, read_list
from priors.weights.seen import seen_in

pytestmark = pytest.mark.usefixtures("store")

NAME = "Jane Doe"


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior whose card names a patient, with a file beside it that is nobody's business."""
    folder = write_prior(tmp_path_factory.mktemp("networks") / "mine", subjects=[NAME], cases=[NAME])
    (folder / "patients.csv").write_text(NAME)
    return folder


@pytest.fixture(scope="module")
def pushed(prior: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repositories") / "mine"
    push(str(prior), str(folder), licence="CC BY 4.0")
    return folder


@pytest.fixture
def repository(pushed: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pushed, tmp_path / "served" / "mine"))


@pytest.fixture
def site(repository: Path) -> Iterator[FileHost]:
    host = FileHost("/mine/", repository)
    yield host
    host.close()


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))


def test_the_layout_is_that_of_a_hugging_face_repository(pushed: Path) -> None:
    assert sorted(path.name for path in pushed.iterdir()) == [
        "README.md",
        "autoencoder.safetensors",
        "biflownet.safetensors",
        LIST,
    ]
    _, front, text = (pushed / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "cc-by-4.0"
    assert facts["library_name"] == "meddiffusion-recon"
    assert {"medical", "autoencoder", "biflownet"} <= set(facts["tags"])
    assert re.search(r"not for\s+diagnosis", text)
    assert read_card(pushed / "autoencoder.safetensors").sha256 in text


def test_nobody_is_named_in_what_is_passed_on(prior: Path, pushed: Path) -> None:
    assert NAME.encode() in (prior / "biflownet.safetensors").read_bytes()
    for path in pushed.rglob("*"):
        assert NAME.encode() not in path.read_bytes(), path
    (seen,) = seen_in(read_card(pushed / "biflownet.safetensors").extra)
    assert seen.knows(NAME, "")


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_there_and_back(pushed: Path, store: Path, form: str, prior: Path) -> None:
    written = pull(form.format(pushed))
    assert files_in(store / "mine") == ["autoencoder.safetensors", "biflownet.safetensors"] == files_in(prior)
    assert set(written) == {store / "mine" / name for name in files_in(prior)}
    there, here = read_tensors(prior / "biflownet.safetensors"), read_tensors(store / "mine/biflownet.safetensors")
    assert all(there[name].equal(here[name]) for name in there)
    assert pull(form.format(pushed)) == {}, "it is there already"
    assert not list((store / DOWNLOADS).iterdir())


def test_over_the_network(site: FileHost, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HF_TOKEN", "secret")
    told: list[tuple[str, int, int]] = []
    pull(site.address, prior="other", on_bytes=lambda *facts: told.append(facts))
    assert files_in(store / "other") == ["autoencoder.safetensors", "biflownet.safetensors"]
    assert site.credentials == []
    assert {file for file, done, size in told if done == size} == set(files_in(store / "other"))
    assert list(json.loads((store / PULLED).read_text())) == [site.address]


def test_a_file_that_is_not_the_listed_one_is_refused(site: FileHost, repository: Path, store: Path) -> None:
    path = repository / "biflownet.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for source in (str(repository), site.address):
        with pytest.raises(ValueError, match=r"biflownet.safetensors has the sha256 .*; nothing is kept") as caught:
            pull(source)
        assert "\n" not in str(caught.value)
        assert not (store / "mine").exists()


def test_no_more_is_written_than_the_list_states(site: FileHost, repository: Path, store: Path) -> None:
    with (repository / "biflownet.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="sends more than the"):
        pull(site.address)
    assert not list(store.rglob("biflownet.safetensors"))


def test_a_list_that_changed_is_refused_and_a_stated_hash_decides(repository: Path, store: Path) -> None:
    first = read_list((repository / LIST).read_bytes(), "").sha256
    with pytest.raises(ValueError, match="`sha256` says 0000"):
        pull(str(repository), sha256="0" * 64)
    pull(str(repository), sha256=first)
    path = repository / "autoencoder.safetensors"
    save_weights(path, read_tensors(path), read_card(path))
    values = json.loads((repository / LIST).read_text())
    values["files"][0] |= {"sha256": file_sha256(path), "size": path.stat().st_size}
    (repository / LIST).write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"not what was first pulled from there.*that was {first}"):
        pull(str(repository), prior="again")
    changed = read_list((repository / LIST).read_bytes(), "").sha256
    assert pull(str(repository), prior="again", sha256=changed)


@pytest.mark.parametrize("path", ["../evil.safetensors", "/etc/a.safetensors", "heads/../../a.safetensors", "run.py"])
def test_lists_cannot_name_files_elsewhere(repository: Path, path: str) -> None:
    values = json.loads((repository / LIST).read_text())
    values["files"][0]["path"] = path
    (repository / LIST).write_text(json.dumps(values))
    with pytest.raises(ValueError, match="which is no weights file of a prior"):
        pull(str(repository))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 1}', b"[" * 100_000])
def test_what_is_no_list_is_one_line(repository: Path, content: bytes) -> None:
    (repository / LIST).write_bytes(content)
    with pytest.raises(ValueError, match="no list of weights"):
        pull(str(repository))


def test_weights_that_fit_no_network_are_not_installed(repository: Path, store: Path) -> None:
    path = repository / "autoencoder.safetensors"
    path.write_bytes(b"not safetensors")
    values = json.loads((repository / LIST).read_text())
    values["files"][0] |= {"sha256": file_sha256(path), "size": path.stat().st_size}
    (repository / LIST).write_text(json.dumps(values))
    with pytest.raises(ValueError, match="not a safetensors file"):
        pull(str(repository))
    assert files_in(store) == []


def test_no_redirect_leads_elsewhere(site: FileHost, store: Path) -> None:
    site.leads_to = "https://evil.example/a"
    with pytest.raises(ValueError, match="none of its own machines"):
        pull(site.address)
    assert files_in(store) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("http://example.org/mine", "not https"),
        ("https://me:secret@example.org/mine", "password"),
        ("https://example.org/mine?token=secret", "without '\\?'"),
        ("file://example.org/mine", "a path of this machine"),
        ("hf://only-a-name", "hf://OWNER/NAME"),
        ("hf://a/b/../c", "hf://OWNER/NAME"),
    ],
)
def test_sources_that_are_not_to_be_trusted(source: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        source_of(source)
    assert "secret" not in str(caught.value)


def test_addresses_on_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    base = "https://huggingface.co/owner/name/resolve"
    assert source_of("hf://owner/name").address == f"{base}/main"
    assert source_of("hf://owner/name@v1.0").address == f"{base}/v1.0"
    assert source_of("https://huggingface.co/owner/name").address == f"{base}/main"
    assert source_of("https://huggingface.co/owner/name/tree/abc").address == f"{base}/abc"


def test_a_folder_is_replaced_only_when_told_and_when_it_is_ours(prior: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    push(str(prior), str(to))
    with pytest.raises(ValueError, match="exists already"):
        push(str(prior), str(to))
    push(str(prior), str(to), "renamed", overwrite=True)
    assert read_list((to / LIST).read_bytes(), "").name == "renamed"
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match="only what 'recon weights push' wrote"):
        push(str(prior), str(tmp_path / "photos"), overwrite=True)
    with pytest.raises(ValueError, match="holds no weights"):
        push(str(tmp_path / "photos"), str(tmp_path / "out2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


class Hub:
    """Stands for the client of Hugging Face."""

    endpoint = "https://huggingface.co"
    calls: list[tuple[str, dict[str, object]]] = []  # noqa: RUF012

    def create_repo(self, repository: str, **settings: object) -> None:
        self.calls.append((repository, settings))

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self.calls.append((repo_id, {"files": sorted(path.name for path in folder_path.iterdir())}))


def test_to_hugging_face_in_private_and_with_a_licence(prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "calls", [])
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=Hub))
    with pytest.raises(ValueError, match="states no licence"):
        push(str(prior), "hf://owner/mine")
    assert Hub.calls == []
    assert push(str(prior), "hf://owner/mine", licence="MIT")[0] == "hf://owner/mine"
    (_, settings), (repository, sent) = Hub.calls
    assert settings == {"private": True, "exist_ok": True}
    assert repository == "owner/mine"
    assert sent["files"] == ["README.md", "autoencoder.safetensors", "biflownet.safetensors", LIST]


def test_a_failed_upload_is_one_line(prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Hub, repository: str, **settings: object) -> None:
        raise RuntimeError("401\nunauthorized")

    monkeypatch.setattr(Hub, "create_repo", refuse)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=Hub))
    with pytest.raises(ConnectionError, match=r"hf://owner/mine: could not be uploaded: 401 unauthorized") as caught:
        push(str(prior), "hf://owner/mine", licence="MIT")
    assert "\n" not in str(caught.value)
