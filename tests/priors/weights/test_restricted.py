"""Pickled checkpoints that attack, are damaged, or are none: refused in one line, and nothing in them is ever run."""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from priors.networks.biflownet import BiFlowNet
from priors.weights.official import load_autoencoder, load_biflownet, load_perceptual
from priors.weights.restricted import read_pickled

ARGUMENTS = {
    "volume_channels": 2,
    "model_dim": 12,
    "dim_mults": [1, 1],
    "use_attn": [0, 1],
    "patch_size": 2,
    "num_dit": 1,
    "num_classes": 3,
    "vq_size": 64,
}
UNSTATED = {"resnet_groups": 4, "DiT_num_heads": 2}


@pytest.fixture(scope="module")
def estimator() -> BiFlowNet:
    torch.manual_seed(1)
    stated = {"dim": 12, "dim_mults": [1, 1], "use_sparse_linear_attn": [0, 1], "channels": 2, "cond_classes": 3}
    return BiFlowNet.from_official_config(stated | UNSTATED | {"attn_heads": 2, "patch_size": 2})


@pytest.fixture
def estimator_content(estimator: BiFlowNet) -> dict[str, Any]:
    """As the training script saves it."""
    state = dict(estimator.state_dict())
    return {"model": state, "ema": state, "scaler": {"scale": 1.0}, "args": argparse.Namespace(**ARGUMENTS)}


@pytest.fixture
def autoencoder_content() -> dict[str, Any]:
    """As Lightning saves it; it is never read so far that the network matters."""
    return {"epoch": 1, "state_dict": {"codebook.N": torch.ones(8)}, "hyper_parameters": {"cfg": {"model": {}}}}


def saved(folder: Path, content: Any, **options: Any) -> Path:
    torch.save(content, folder / "checkpoint.pt", **options)
    return folder / "checkpoint.pt"


def error_of(load: Callable[[Path], Any], path: Path) -> str:
    """The one line of a refusal, which names the file."""
    with pytest.raises(ValueError, match=str(path)) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def quietly(path: Path) -> BiFlowNet:
    """The tiny networks are narrower than the released sizes allow, which would draw a warning."""
    return load_biflownet(path, settings=UNSTATED)


class Attack:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def attacks(marker: Path) -> dict[str, Attack]:
    code = f"open({str(marker)!r}, 'w')"
    return {
        "posix.system": Attack(os.system, f"touch {marker}"),
        "builtins.eval": Attack(eval, code),
        "builtins.exec": Attack(exec, code),
        "subprocess.Popen": Attack(subprocess.Popen, ["touch", str(marker)]),
        "builtins.getattr": Attack(getattr, Attack(__import__, "os"), "system"),
        "torch.serialization.load": Attack(torch.load, str(marker)),
    }


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """What the attacks would make; the test fails if it is there in the end."""
    path = tmp_path / "marker"
    yield path
    assert not path.exists()


@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "builtins.exec"])
def test_the_attacks_would_work_elsewhere(tmp_path: Path, name: str) -> None:
    pickle.loads(pickle.dumps(attacks(tmp_path / "made")[name]))
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("name", attacks(Path()))
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("archive", [True, False])
def test_code_in_a_checkpoint_is_named_and_not_run(
    estimator_content: dict[str, Any],
    autoencoder_content: dict[str, Any],
    tmp_path: Path,
    marker: Path,
    name: str,
    protocol: int,
    archive: bool,
) -> None:
    attack = attacks(marker)[name]
    options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": archive}
    # Of protocol 4 torch reads nothing, so that only what torch does not know itself is named.
    shown = "refused, nothing was run" if (name, protocol) == ("torch.serialization.load", 4) else f"it names {name},"
    for place in ("args", "scaler"):
        path = saved(tmp_path, estimator_content | {place: attack}, **options)
        assert shown in error_of(load_biflownet, path)
    for content in (autoencoder_content | {"hyper_parameters": {"cfg": attack}}, {"state_dict": attack}):
        path = saved(tmp_path, content, **options)
        assert shown in error_of(load_autoencoder, path)
        assert shown in error_of(load_perceptual, path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_code_in_a_bare_pickle(tmp_path: Path, marker: Path, protocol: int) -> None:
    for attack in attacks(marker).values():
        (tmp_path / "bare.pt").write_bytes(pickle.dumps({"ema": attack}, protocol=protocol))
        assert "bare.pt" in error_of(load_biflownet, tmp_path / "bare.pt")
        assert not marker.exists()


def test_what_the_restriction_allows_is_taken_back(estimator_content: dict[str, Any], tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    assert set(read_pickled(saved(tmp_path, estimator_content))) == set(estimator_content)
    error_of(load_autoencoder, saved(tmp_path, {"state_dict": Attack(eval, "1")}))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("load", [load_autoencoder, load_biflownet, load_perceptual])
def test_what_is_no_checkpoint(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    contents = {"empty": b"", "text": b"weights?\n" * 50, "zeros": bytes(200), "zip": b"PK\x03\x04" + bytes(200)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "damaged" in error_of(load, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other", "w") as archive:
        archive.writestr("note.txt", "hello")
    assert "a zip archive, but no checkpoint" in error_of(load, tmp_path / "other")
    assert "no such file" in error_of(load, tmp_path / "absent")
    assert "a folder" in error_of(load, tmp_path)


class Contents(dict[str, bytes]):
    """A small checkpoint in both formats of torch; prints as a word when a drawn example fails."""

    def __repr__(self) -> str:
        return "contents"


@pytest.fixture(scope="module")
def contents(estimator: BiFlowNet, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    folder = tmp_path_factory.mktemp("contents")
    content = {"ema": dict(estimator.state_dict()), "args": argparse.Namespace(**ARGUMENTS)}
    formats = {"archive": True, "old": False}
    return Contents(
        (name, saved(folder, content, _use_new_zipfile_serialization=archive).read_bytes())
        for name, archive in formats.items()
    )


@pytest.mark.parametrize("form", ["archive", "old"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_truncation_is_refused(
    contents: Contents, tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.pt"
    path.write_bytes(contents[form][: data.draw(st.integers(0, len(contents[form]) - 1))])
    message = error_of(quietly, path)
    assert "damaged" in message or "refused" in message


@pytest.mark.parametrize("form", ["archive", "old"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changed_bytes_are_found_or_harmless(
    contents: Contents,
    estimator: BiFlowNet,
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    data: st.DataObject,
) -> None:
    """In an archive every change of a tensor is found; the old format has no checksums, but nothing breaks."""
    content = bytearray(contents[form])
    pickled = content.find(b"argparse") + 1000  # up to here a change does most
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.one_of(st.integers(0, len(content) - 1), st.integers(0, pickled)))
        content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "changed.pt"
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a width that was changed may draw one
            network = quietly(path)
    except ValueError as error:
        message = str(error)
    else:
        if form == "archive":
            expected = estimator.state_dict()
            assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
        return
    assert "\n" not in message
    assert str(path) in message


def test_archives_that_unpack_to_more_than_they_are_are_refused(tmp_path: Path, autoencoder_content: Any) -> None:
    """torch stores entries as they are: compressed ones could fill a disk, overlapping ones keep a machine busy."""
    whole = saved(tmp_path, autoencoder_content)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    assert "damaged" in error_of(load_autoencoder, tmp_path / "small.pt")
