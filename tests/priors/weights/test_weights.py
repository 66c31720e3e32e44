"""Weights files: written whole, read strictly, refused when they are not what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.networks.controlnet import ControlNet
from priors.networks.discriminator import DiscriminatorConfig
from priors.networks.fingerprint import tensors_sha256
from priors.networks.registry import KINDS
from priors.weights.card import Card, count_numbers, read_card, read_tensors, save_weights
from priors.weights.networks import load_autoencoder, load_biflownet, load_controlnet, load_lpips, verify

BASE = BiFlowNetConfig(
    width=12,
    multipliers=(1, 1),
    attention=(False, True),
    channels=2,
    classes=2,
    attention_heads=1,
    norm_groups=4,
    dit_heads=2,
)


@pytest.fixture(scope="module")
def autoencoder() -> PatchVolumeAutoencoder:
    torch.manual_seed(0)
    judge = DiscriminatorConfig(channels=2, layers=2)
    return PatchVolumeAutoencoder(
        AutoencoderConfig(width=8, latent_channels=2, codes=8, norm_groups=4, patch=16, discriminator=judge)
    )


@pytest.fixture
def file(autoencoder: PatchVolumeAutoencoder, tmp_path: Path) -> Path:
    """An autoencoder's weights file."""
    path = tmp_path / "net.safetensors"
    save_weights(path, autoencoder.state_dict(), card_of(autoencoder, "autoencoder"))
    return path


def card_of(network: Any, kind: str) -> Card:
    return Card(kind, network.config.to_dict(), "drawn at random", "CC0", {"epochs": 3})


def rewrite(path: Path, tensors: dict[str, Tensor] | None = None, **changes: str) -> None:
    """The file with other tensors or other metadata, under the hash it had."""
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    save_file(tensors if tensors is not None else load_file(path), path, metadata | changes)


def error_of(function: Callable[[Path], Any], path: Path) -> str:
    """The one line of a refusal, which names the file."""
    with pytest.raises(ValueError, match=str(path)) as caught:
        function(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same(a: nn.Module, b: nn.Module) -> None:
    first, second = a.state_dict(), b.state_dict()
    assert list(first) == list(second)
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert torch.equal(tensor, second[name]), name
    assert [p.requires_grad for p in a.parameters()] == [p.requires_grad for p in b.parameters()]


def test_an_autoencoder_comes_back_with_its_card(autoencoder: PatchVolumeAutoencoder, file: Path) -> None:
    loaded = load_autoencoder(file)
    assert_same(loaded, autoencoder)
    assert loaded.config == autoencoder.config
    state = autoencoder.state_dict()
    expected = replace(card_of(autoencoder, "autoencoder"), sha256=tensors_sha256(state))
    assert read_card(file) == verify(file) == expected
    assert count_numbers(file) == sum(tensor.numel() for tensor in state.values())
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_noise_estimator_and_a_head_that_knows_its_base(tmp_path: Path) -> None:
    base = BiFlowNet(BASE)
    head = ControlNet.from_base(base, 3, {"views": 40})
    for network, kind in ((base, "biflownet"), (head, "controlnet")):
        card = replace(card_of(network, kind), extra={"base_sha256": head.base_hash})
        save_weights(tmp_path / kind, network.state_dict(), card)
        assert verify(tmp_path / kind).kind == kind
    assert_same(load_biflownet(tmp_path / "biflownet"), base)
    loaded = load_controlnet(tmp_path / "controlnet")
    assert_same(loaded, head)
    assert (loaded.config, loaded.base_hash) == (head.config, read_card(tmp_path / "biflownet").sha256)


def test_loaded_weights_can_be_trained_and_the_file_stays(file: Path) -> None:
    loaded, before = load_autoencoder(file), file.read_bytes()
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.fill_(1)
    assert file.read_bytes() == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(autoencoder: PatchVolumeAutoencoder, tmp_path: Path, dtype: torch.dtype) -> None:
    path, whole = tmp_path / "half.safetensors", tmp_path / "whole.safetensors"
    save_weights(path, autoencoder.state_dict(), card_of(autoencoder, "autoencoder"), dtype)
    save_weights(whole, autoencoder.state_dict(), card_of(autoencoder, "autoencoder"))
    assert path.stat().st_size < 0.6 * whole.stat().st_size
    verify(path)
    for name, tensor in load_autoencoder(path).state_dict().items():
        original = autoencoder.state_dict()[name]
        assert tensor.dtype == original.dtype
        assert torch.equal(tensor, original.to(dtype).to(original.dtype) if original.is_floating_point() else original)
    assert load_autoencoder(path, dtype).pre_vq_conv.weight.dtype == dtype
    assert load_autoencoder(path, dtype).encoder.conv_first.weight.dtype == dtype


def test_numbers_too_large_for_the_precision_are_not_lost(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"counts has numbers too large for torch.float16"):
        save_weights(tmp_path / "x", {"counts": torch.tensor([1e6])}, Card("lpips", {}), torch.float16)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def interrupted(*arguments: Any, **more: Any) -> None:
        Path(arguments[1]).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("priors.weights.card.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_weights(file, {"a": torch.ones(1)}, Card("lpips", {}))
    assert [path.read_bytes() for path in file.parent.iterdir()] == [before]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.tuples(
            st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]),
            st.lists(st.integers(0, 3), max_size=3),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_the_hash_is_of_names_types_shapes_and_values(layout: dict[str, tuple[torch.dtype, list[int]]]) -> None:
    state = {name: torch.ones(shape, dtype=dtype) for name, (dtype, shape) in layout.items()}
    known = tensors_sha256(state)
    assert tensors_sha256(dict(reversed(list(state.items())))) == known
    name, tensor = next(iter(state.items()))
    others = [
        {key: value for key, value in state.items() if key != name},
        {**state, name: tensor.unsqueeze(0)},
        {**state, name: tensor.to(torch.float64)},
        {f"{key}." if key == name else key: value for key, value in state.items()},
        {**state, name: tensor * 2 if tensor.numel() else torch.ones(1)},
    ]
    assert known not in [tensors_sha256(other) for other in others]
    assert tensors_sha256({"a": torch.arange(6).view(2, 3).T}) == tensors_sha256(
        {"a": torch.arange(6).view(2, 3).T.contiguous()}
    )


def test_changed_tensors_are_found(file: Path) -> None:
    tensors = load_file(file)
    tensors["pre_vq_conv.bias"][0] += 1e-3
    rewrite(file, tensors)
    for reader in (verify, load_autoencoder, read_tensors):
        assert "not those it was written with" in error_of(reader, file)


WRONG: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "missing": (lambda state: state.pop("pre_vq_conv.bias"), "pre_vq_conv.bias"),
    "superfluous": (lambda state: state.update(extra=torch.ones(1)), "extra"),
    "shape": (lambda state: state.update({"pre_vq_conv.bias": torch.ones(3)}), "pre_vq_conv.bias"),
    "type": (lambda state: state.update({"codebook.N": torch.ones(8, dtype=torch.int32)}), "torch.int32"),
}


@pytest.mark.parametrize("what", WRONG)
def test_tensors_that_do_not_fit(file: Path, what: str) -> None:
    change, words = WRONG[what]
    tensors = load_file(file)
    change(tensors)
    rewrite(file, tensors, sha256=tensors_sha256(tensors))
    assert words in error_of(load_autoencoder, file)


CARDS = {
    "format": ({"format": "another 2"}, "not a weights file of this suite"),
    "kind": ({"kind": "biflownet"}, "kind biflownet, where autoencoder is wanted"),
    "no json": ({"config": "{"}, "damaged"),
    "no table": ({"extra": "[1]"}, "must be tables"),
    "deep": ({"config": "[" * 100_000}, "damaged"),
    "setting missing": ({"config": "{}"}, "settings unknown or missing"),
}


@pytest.mark.parametrize("what", CARDS)
def test_cards_that_are_wrong(file: Path, what: str) -> None:
    changes, words = CARDS[what]
    rewrite(file, **changes)
    assert words in error_of(load_autoencoder, file)


@pytest.mark.parametrize("setting", ["width", "latent_channels", "downsample", "discriminator", "codes"])
@pytest.mark.parametrize("value", [None, "x", 0, 2**60, [1], {"a": 1}, 7])
def test_configurations_that_are_wrong(file: Path, setting: str, value: Any) -> None:
    config = read_card(file).config
    rewrite(file, config=json.dumps(config | {setting: value}))
    if (setting, value) != ("discriminator", None):
        error_of(load_autoencoder, file)
    else:
        assert "volume_discriminator" in error_of(load_autoencoder, file)


def test_an_unknown_kind(file: Path) -> None:
    rewrite(file, kind="denoiser")
    assert read_card(file).kind == "denoiser"
    assert f"unknown kind 'denoiser'; one of {', '.join(KINDS)}" in error_of(verify, file)


@pytest.mark.parametrize("load", [read_card, load_autoencoder, load_biflownet, load_controlnet, load_lpips, verify])
def test_what_is_no_weights_file(load: Callable[[Path], Any], tmp_path: Path) -> None:
    contents = {"empty": b"", "text": b"weights?\n" * 40, "zeros": bytes(100), "length": b"\xff" * 8 + b"{}"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "not a safetensors file, or damaged" in error_of(load, tmp_path / name)
    save_file({"a": torch.ones(1)}, tmp_path / "foreign")
    assert "not a weights file of this suite" in error_of(load, tmp_path / "foreign")
    assert "no such file" in error_of(load, tmp_path / "absent")
    assert "a folder" in error_of(load, tmp_path)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "net.safetensors"
    network = PatchVolumeAutoencoder(
        AutoencoderConfig(width=2, latent_channels=1, codes=2, downsample=(2, 2, 2), norm_groups=1, patch=4)
    )
    save_weights(path, network.state_dict(), card_of(network, "autoencoder"))
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_truncation_is_refused(
    small_file: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.safetensors"
    path.write_bytes(small_file[: data.draw(st.integers(0, len(small_file) - 1))])
    assert "damaged" in error_of(load_autoencoder, path)
    error_of(read_card, path)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_every_changed_byte_is_found_or_harmless(
    small_file: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    header = int.from_bytes(small_file[:8], "little") + 8
    place = data.draw(st.one_of(st.integers(0, header - 1), st.integers(header, len(small_file) - 1)))
    content = bytearray(small_file)
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        card = verify(path)
    except ValueError as error:
        message = str(error)
    else:  # only what the hash does not cover may differ: the notes on the card, the blanks of the header
        assert place < header
        assert card.sha256 == tensors_sha256(load_file(path))
        return
    assert "\n" not in message
    assert str(path) in message
