"""The PatchGAN: keys, sizes, and the outputs of the official one."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from priors.networks.discriminator import DiscriminatorConfig, VolumeDiscriminator

PREFIX = "volume_discriminator."
CLOSE = {"atol": 5e-5, "rtol": 0}


@pytest.fixture(scope="module")
def tensors(shared):
    return load_file(shared / "fixtures/meddiffusion/autoencoder_tiny4x_tensors.safetensors")


@pytest.fixture
def official(shared):
    weights = load_file(shared / "fixtures/meddiffusion/autoencoder_tiny4x_weights.safetensors")
    discriminator = VolumeDiscriminator(DiscriminatorConfig(channels=4, layers=2))
    ours = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
    discriminator.load_state_dict(ours, strict=True)
    return discriminator


@torch.no_grad()
def test_logits_and_features_in_evaluation_match_the_official_ones(official, tensors):
    logits, features = official.eval()(tensors["patch_x"])
    assert len(features) == 3
    torch.testing.assert_close(logits, tensors["disc_eval_logits"], **CLOSE)
    for number, feature in enumerate(features):
        torch.testing.assert_close(feature, tensors[f"disc_eval_feat{number}"], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize(("volume", "name"), [("patch_x", "real"), ("patch_recon", "fake")])
def test_logits_in_training_match_the_official_ones(official, tensors, volume, name):
    logits, _ = official.train()(tensors[volume])
    torch.testing.assert_close(logits, tensors[f"disc_train_logits_{name}"], **CLOSE)


@pytest.mark.parametrize("release", ["4x", "8x"])
def test_keys_of_the_released_configuration(shared, release):
    table = json.loads((shared / f"specs/keys_autoencoder_{release}.json").read_text())
    released = {name.removeprefix(PREFIX): shape for name, (shape, _) in table.items() if name.startswith(PREFIX)}
    with torch.device("meta"):
        discriminator = VolumeDiscriminator(DiscriminatorConfig())
    assert {name: list(value.shape) for name, value in discriminator.state_dict().items()} == released
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 2_772_321


def test_widths_double_up_to_512():
    with torch.device("meta"):
        discriminator = VolumeDiscriminator(DiscriminatorConfig(channels=128, layers=4), image_channels=2)
    convolutions = [module for module in discriminator.modules() if isinstance(module, nn.Conv3d)]
    assert [layer.in_channels for layer in convolutions] == [2, 128, 256, 512, 512, 512]
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 2, 1, 1]
    assert convolutions[-1].out_channels == 1


@settings(deadline=None, max_examples=15)
@given(size=st.tuples(*[st.integers(4, 20)] * 3), layers=st.integers(1, 3))
def test_any_size_gives_logits(size, layers):
    discriminator = VolumeDiscriminator(DiscriminatorConfig(channels=2, layers=layers)).eval()
    with torch.no_grad():
        logits, features = discriminator(torch.zeros(2, 1, *size))
    assert logits.shape[:2] == (2, 1)
    assert logits.numel() > 0
    assert len(features) == layers + 1
    halved = [edge // 2 + 1 for edge in size]
    assert list(features[0].shape[2:]) == halved


@pytest.mark.parametrize("config", [{"channels": 0}, {"layers": 0}])
def test_an_empty_discriminator_is_refused(config):
    with pytest.raises(ValueError, match="both must be 1 or more"):
        DiscriminatorConfig(**config)
