"""Model cards say what a file says; exports are smaller and sound."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.fbpconvnet import FBPConvNet, FBPConvNetConfig
from priors.weights.card import Card, read_card, read_tensors, save_weights
from priors.weights.model_card import export, model_card
from priors.weights.networks import load_autoencoder, load_network, verify
from priors.weights.seen import seen_in
from priors.weights.store import entries

FACTS = {
    "task": {"task": "svct", "geometry": {"type": "fan", "angles": [0.0] * 40, "cells": None}, "conditions": ["fbp"]},
    "recipe": {"steps": 30, "batch": 4, "optimizer": {"name": "adamw", "lr": 1e-3}, "task": {"crop": 64}},
    "step": 20,
    "seconds_of_last_session": 120.0,
    "device": "cpu",
    "validation": {"psnr": 31.25},
    "cases": ["train/a", "train/b"],
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    config = FBPConvNetConfig(width=8, levels=2)
    card = Card("fbpconv", config.to_dict(), source="a test", licence="CC0-1.0", extra=FACTS)
    save_weights(tmp_path / "net.safetensors", FBPConvNet(config).state_dict(), card)
    return tmp_path / "net.safetensors"


def test_the_card_has_use_task_training_validation_data_and_limits(written):
    text = model_card(written)
    for part in ("fbpconv", "angles 40", "20 steps of 4 samples", "psnr 31.250", "train/a, train/b", "2 minutes"):
        assert part in text
    assert "CC0-1.0" in text
    assert read_card(written).sha256 in text
    assert "Not a medical device" in text


def test_half_the_size_sound_and_the_same_network(written, tmp_path):
    card = export(written, tmp_path / "half.safetensors", half=True, note="Starved.", licence="Apache-2.0")
    assert verify(tmp_path / "half.safetensors") == card
    assert card.licence == "Apache-2.0"
    assert card.extra["made_from_sha256"] == read_card(written).sha256
    assert "Starved." in model_card(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * written.stat().st_size
    x = torch.randn(1, 1, 16, 16)
    before, after = (load_network(path, "fbpconv").eval()(x) for path in (written, tmp_path / "half.safetensors"))
    assert torch.allclose(before, after, atol=1e-2)


def test_a_codebook_stays_whole(tmp_path):
    config = AutoencoderConfig(width=8, norm_groups=4, codes=16, latent_channels=2, patch=8)
    net = PatchVolumeAutoencoder(config)
    save_weights(tmp_path / "ae.safetensors", net.state_dict(), Card("autoencoder", config.to_dict()))
    export(tmp_path / "ae.safetensors", tmp_path / "half.safetensors", half=True)
    assert torch.equal(load_autoencoder(tmp_path / "half.safetensors").codebook.embeddings, net.codebook.embeddings)
    types = {name: tensor.dtype for name, tensor in read_tensors(tmp_path / "half.safetensors").items()}
    assert {name for name, dtype in types.items() if dtype == torch.float32} == {
        "codebook.embeddings",
        "codebook.N",
        "codebook.z_avg",
    }


def test_numbers_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path):
    config = FBPConvNetConfig(width=8, levels=2)
    state = {
        name: tensor * 1e6 if name.endswith("weight") else tensor
        for name, tensor in FBPConvNet(config).state_dict().items()
    }
    save_weights(tmp_path / "net.safetensors", state, Card("fbpconv", config.to_dict()))
    with pytest.raises(ValueError, match="too large for 16 bits"):
        export(tmp_path / "net.safetensors", tmp_path / "half.safetensors", half=True)
    assert not (tmp_path / "half.safetensors").exists()


SHIPPED = [entry for entry in entries() if entry.shipped]


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
def test_what_is_shipped_is_sound_licensed_and_trained_on_no_test_case(entry):
    card = verify(entry.path)
    assert card.licence
    assert card.extra["cases"]
    for seen in seen_in(card.extra):
        assert seen.salt or all(case.startswith(("train/", "val/")) for case in seen.cases)
        for test in ("LIDC-IDRI-0001", "hanke_T1_1mm_0", "knee_axial_20_subjects", "brain_8ch_kspace"):
            assert not seen.knows(test, f"test/{test}")
    assert model_card(entry.path, entry.name)


def test_the_methods_own_weights_are_small():
    sizes = {entry.name: entry.path.stat().st_size for entry in SHIPPED if entry.name.startswith("baselines/")}
    assert all(size < 12e6 for size in sizes.values()), sizes
    assert sum(sizes.values()) < 50e6, sizes
