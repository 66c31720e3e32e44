"""Latents for training: by patches as published, or of whole volumes for the ablation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datasets import open_dataset
from datasets.cache import Cache
from priors.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from recon.training.latents import Encoding
from recon.training.prepared import prepare


@pytest.fixture(scope="module")
def net() -> PatchVolumeAutoencoder:
    torch.manual_seed(0)
    config = AutoencoderConfig(width=8, norm_groups=4, codes=16, latent_channels=2, patch=8)
    return PatchVolumeAutoencoder(config).eval().requires_grad_(False)


def test_whole_volumes_and_patches_are_encoded_and_kept_apart(net, tmp_path: Path) -> None:
    cases = open_dataset("phantom:count=1,size=16x16x16,spacing=10x20x20", None).cases()
    (volume,) = prepare(cases, Cache(tmp_path))
    patch, whole = (Encoding(net, "x", Cache(tmp_path), each) for each in (False, True))
    image = volume.network()[None, None]
    for encoding, encode in ((patch, net.patch_encode), (whole, net.encode)):
        expected = net.normalise(encode(image))[0]
        torch.testing.assert_close(encoding.latent(volume.network()), expected)
        stored = torch.from_numpy(encoding.volume_latent(volume, 1, flip=False).latents.copy()).float()
        torch.testing.assert_close(stored, expected, atol=2e-3, rtol=2e-3)
    assert not torch.equal(patch.latent(volume.network()), whole.latent(volume.network()))


def test_small_volumes_are_grown_with_air(net, tmp_path: Path) -> None:
    cases = open_dataset("phantom:count=1,size=16x16x16,spacing=10x20x20", None).cases()
    (volume,) = prepare(cases, Cache(tmp_path))
    encoding = Encoding(net, "x", Cache(tmp_path), least=(16, 32, 20))
    assert encoding.padded(volume.network()).shape == (16, 32, 24)
    assert encoding.padded(volume.network())[:, 0].unique().tolist() == [-1]
    assert encoding.volume_latent(volume, 1, flip=False).latents.shape[1:] == (4, 8, 6)
