"""Official checkpoints: the recorded layouts load and compute what was recorded, other layouts are refused."""

from __future__ import annotations

import argparse
import json
import sys
import types
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.networks.perceptual import LPIPS
from priors.weights.official import load_autoencoder, load_biflownet, load_perceptual
from priors.weights.restricted import read_pickled

TOLERANCE = 5e-5

ARGUMENTS = {
    "data_path": "data.json",
    "loss_type": "l1",
    "volume_channels": 2,
    "timesteps": 1000,
    "model_dim": 12,
    "dim_mults": [1, 1],
    "use_attn": [0, 1],
    "patch_size": 2,
    "num_dit": 1,
    "num_classes": 3,
    "vq_size": 64,
    "resolution": [32, 32, 32],
}
STATED = {"dim": 12, "dim_mults": [1, 1], "use_sparse_linear_attn": [0, 1], "channels": 2, "cond_classes": 3}
UNSTATED = {"resnet_groups": 4, "DiT_num_heads": 2}

CONFIGURATION: dict[str, Any] = {
    "model": {
        "n_hiddens": 4,
        "embedding_dim": 2,
        "n_codes": 8,
        "downsample": [2, 2, 2],
        "num_groups": 2,
        "norm_type": "group",
        "disc_channels": 2,
        "disc_layers": 1,
        "lr": 3e-4,
        "resume_from_checkpoint": None,
    },
    "dataset": {"image_channels": 1, "patch_size": 8},
}


@pytest.fixture(scope="module")
def estimator() -> BiFlowNet:
    torch.manual_seed(1)
    return BiFlowNet.from_official_config(STATED | UNSTATED | {"attn_heads": 2, "patch_size": 2})


@pytest.fixture(scope="module")
def autoencoder() -> PatchVolumeAutoencoder:
    torch.manual_seed(2)
    return PatchVolumeAutoencoder.from_official_config(CONFIGURATION)


@pytest.fixture
def estimator_content(estimator: BiFlowNet) -> dict[str, Any]:
    """As the training script saves it."""
    state = estimator.state_dict()
    return {
        "model": OrderedDict(state),
        "ema": {name: tensor * 0.5 for name, tensor in state.items()},
        "scaler": {"scale": 65536.0},
        "opt": {"state": defaultdict(dict, {0: {"step": torch.tensor(1.0)}}), "param_groups": []},
        "args": argparse.Namespace(**ARGUMENTS),
        "epoch": 3,
    }


@pytest.fixture
def autoencoder_content(autoencoder: PatchVolumeAutoencoder) -> dict[str, Any]:
    """As Lightning saves it, but for the class of the configuration."""
    return {
        "epoch": 1,
        "global_step": 10,
        "state_dict": dict(autoencoder.state_dict()),
        "hyper_parameters": {"cfg": CONFIGURATION},
    }


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
    """The tiny networks are narrower than the released sizes allow; that warning is tested on its own."""
    return load_biflownet(path, settings=UNSTATED)


def assert_state(network: torch.nn.Module, expected: dict[str, Tensor]) -> None:
    state = network.state_dict()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_the_recorded_autoencoder_computes_what_was_recorded(shared: Path) -> None:
    folder = shared / "fixtures" / "meddiffusion"
    network = load_autoencoder(folder / "ae_lightning_layout.ckpt").eval()
    assert_state(network, load_file(folder / "autoencoder_tiny4x_weights.safetensors"))
    expected = PatchVolumeAutoencoder.from_official_config(
        json.loads((folder / "autoencoder_tiny4x.json").read_text())["config"]
    )
    assert network.config == expected.config
    known = load_file(folder / "autoencoder_tiny4x_tensors.safetensors")
    with torch.no_grad():
        latent = network.encode(known["patch_x"])
        image = network.decode(known["patch_indices"])
        assert torch.equal(network.quantize(latent)[0], known["patch_indices"])
    torch.testing.assert_close(latent, known["patch_z_prequant"], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(image, known["patch_decode_from_indices"], rtol=0, atol=TOLERANCE)
    assert load_perceptual(folder / "ae_lightning_layout.ckpt") is None


@pytest.mark.parametrize("ema", [True, False])
def test_the_recorded_noise_estimator_in_both_versions(shared: Path, ema: bool) -> None:
    path = shared / "fixtures" / "meddiffusion" / "biflownet_layout.pt"
    content = read_pickled(path)
    network = load_biflownet(path, ema, settings=UNSTATED)
    assert_state(network, content["ema" if ema else "model"])
    weight = "init_conv.weight"
    assert not torch.equal(network.state_dict()[weight], content["model" if ema else "ema"][weight])
    names = json.loads((path.parent / "ckpt_layout.json").read_text())["biflownet_config"]
    assert network.config == BiFlowNet.from_official_config(names).config


def test_nothing_but_the_sizes_left_out_is_assumed(estimator_content: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path, estimator_content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network = load_biflownet(path)
    assert [str(each.message).count(name) for each, name in zip(caught, UNSTATED, strict=True)] == [2, 2]
    assert caught[0].filename == __file__
    assert (network.config.norm_groups, network.config.dit_heads, network.config.attention_heads) == (12, 4, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = quietly(path)
    assert (network.config.norm_groups, network.config.dit_heads) == (4, 2)
    assert_state(network, estimator_content["ema"])
    strange = UNSTATED | {"heads": 2}
    assert "unknown BiFlowNet settings: heads" in error_of(lambda p: load_biflownet(p, settings=strange), path)


def test_what_is_loaded_does_not_hang_on_the_file(estimator_content: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path, estimator_content)
    network = quietly(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert_state(network, estimator_content["ema"])


def test_half_precision_and_old_files_load(
    estimator_content: dict[str, Any], autoencoder_content: dict[str, Any], tmp_path: Path
) -> None:
    estimator_content["ema"] = {name: tensor.half() for name, tensor in estimator_content["ema"].items()}
    path = saved(tmp_path, estimator_content, _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(path)
    assert_state(quietly(path), {name: tensor.float() for name, tensor in estimator_content["ema"].items()})
    path = saved(tmp_path, autoencoder_content, _use_new_zipfile_serialization=False)
    assert_state(load_autoencoder(path), autoencoder_content["state_dict"])


@pytest.fixture
def omegaconf(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Makes configurations as omegaconf pickles them, without it; its classes are gone again before reading."""
    kinds: dict[str, Any] = {}
    for module, name in (("dictconfig", "DictConfig"), ("listconfig", "ListConfig"), ("nodes", "AnyNode")):
        kinds[name] = type(name, (), {"__module__": f"omegaconf.{module}"})
        stand_in = types.ModuleType(f"omegaconf.{module}")
        setattr(stand_in, name, kinds[name])
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))

    def node(value: Any, parent: Any = None) -> Any:
        made = kinds[{dict: "DictConfig", list: "ListConfig"}.get(type(value), "AnyNode")]()
        made._parent = parent
        if isinstance(value, dict):
            made._content = {key: node(each, made) for key, each in value.items()}
        elif isinstance(value, list):
            made._content = [node(each, made) for each in value]
        else:
            made._val = value
        return made

    return node


def test_a_configuration_of_omegaconf_and_a_perceptual_network(
    autoencoder_content: dict[str, Any],
    omegaconf: Callable[[Any], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(3)
    lpips = LPIPS()
    inside = {f"perceptual_loss.perceptual_model.{name}": tensor for name, tensor in lpips.state_dict().items()}
    autoencoder_content["hyper_parameters"] = {"cfg": omegaconf(CONFIGURATION)}
    path = saved(tmp_path, autoencoder_content | {"state_dict": {**autoencoder_content["state_dict"], **inside}})
    monkeypatch.undo()
    assert_state(load_autoencoder(path), autoencoder_content["state_dict"])
    loaded = load_perceptual(path)
    assert loaded is not None
    assert_state(loaded, lpips.state_dict())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_configuration_without_end(
    autoencoder_content: dict[str, Any], omegaconf: Callable[[Any], Any], tmp_path: Path
) -> None:
    node = omegaconf({"model": {}})
    node._content["model"] = node
    autoencoder_content["hyper_parameters"]["cfg"] = node
    assert "nested too deeply" in error_of(load_autoencoder, saved(tmp_path, autoencoder_content))


ESTIMATORS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no averaged weights": (lambda c: c.pop("ema"), "no tensors under 'ema'"),
    "no tensors": (lambda c: c.update(ema={}), "no tensors under 'ema'"),
    "a list": (lambda c: c.update(ema=[1]), "no tensors under 'ema'"),
    "a number": (lambda c: c["ema"].update({"init_conv.bias": 1}), "init_conv.bias is no plain tensor"),
    "sparse": (lambda c: c["ema"].update({"init_conv.bias": torch.ones(12).to_sparse()}), "init_conv.bias is no plain"),
    "repeated": (lambda c: c["ema"].update({"init_conv.bias": torch.ones(1).expand(2**40)}), "init_conv.bias is no"),
    "meta": (
        lambda c: c["ema"].update({"init_conv.bias": torch.ones(12, device="meta")}),
        "init_conv.bias is no plain",
    ),
    "no arguments": (lambda c: c.pop("args"), "no 'args'"),
    "arguments as a table": (lambda c: c.update(args=dict(ARGUMENTS)), "no 'args'"),
    "argument missing": (lambda c: delattr(c["args"], "num_dit"), "'args' lack num_dit"),
    "argument wrong": (lambda c: setattr(c["args"], "model_dim", "x"), "model_dim is 'x'"),
    "list missing": (lambda c: setattr(c["args"], "dim_mults", None), "checkpoint.pt"),
    "other size": (lambda c: setattr(c["args"], "num_classes", 5), "cond_emb.weight"),
    "key missing": (lambda c: c["ema"].pop("init_conv.bias"), "init_conv.bias"),
    "middle missing": (lambda c: c["ema"].pop("mid_spatial_attn.fn.fn.to_qkv.weight"), "to_qkv.weight"),
    "key too many": (lambda c: c["ema"].update(other=torch.ones(1)), "other"),
    "shape": (lambda c: c["ema"].update({"init_conv.bias": torch.ones(13)}), "init_conv.bias"),
    "type": (lambda c: c["ema"].update({"init_conv.bias": torch.ones(12, dtype=torch.int64)}), "torch.int64"),
    "an autoencoder": (lambda c: c.update(state_dict={}), "of the kind autoencoder, where biflownet is wanted"),
}


@pytest.mark.parametrize("what", ESTIMATORS)
def test_noise_estimators_of_another_layout(estimator_content: dict[str, Any], tmp_path: Path, what: str) -> None:
    change, words = ESTIMATORS[what]
    change(estimator_content)
    assert words in error_of(quietly, saved(tmp_path, estimator_content))


AUTOENCODERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no configuration": (lambda c: c.pop("hyper_parameters"), "no configuration"),
    "no cfg": (lambda c: c.update(hyper_parameters={}), "no configuration 'hyper_parameters.cfg'"),
    "a number": (lambda c: c["hyper_parameters"].update(cfg=3), "no model."),
    "setting missing": (lambda c: c["hyper_parameters"].update(cfg={"model": {}}), "no model."),
    "no tensors": (lambda c: c.update(state_dict=torch.ones(1)), "no tensors under 'state_dict'"),
    "key missing": (lambda c: c["state_dict"].pop("codebook.N"), "codebook.N"),
    "key too many": (lambda c: c["state_dict"].update(other=torch.ones(1)), "other"),
    "shape": (lambda c: c["state_dict"].update({"codebook.N": torch.ones(9)}), "codebook.N"),
}


@pytest.mark.parametrize("what", AUTOENCODERS)
def test_autoencoders_of_another_layout(autoencoder_content: dict[str, Any], tmp_path: Path, what: str) -> None:
    change, words = AUTOENCODERS[what]
    change(autoencoder_content)
    assert words in error_of(load_autoencoder, saved(tmp_path, autoencoder_content))


@pytest.mark.parametrize("content", [{}, [1, 2], torch.ones(3), {"a": torch.ones(3)}, None])
def test_checkpoints_of_something_else(tmp_path: Path, content: Any) -> None:
    assert "not an official checkpoint" in error_of(load_biflownet, saved(tmp_path, content))
