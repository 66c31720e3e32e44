"""Latents for training: by patches as published, or of whole volumes for the ablation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datasets import open_dataset
from datasets.cache import Cache
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from recon.training.latents import CodeSource, Encoding
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


def test_small_slices_are_grown_with_air(net, tmp_path: Path) -> None:
    cases = open_dataset("phantom:count=1,size=16x16x16,spacing=10x20x20", None).cases()
    (volume,) = prepare(cases, Cache(tmp_path))
    encoding = Encoding(net, "x", Cache(tmp_path), least=(16, 32, 20))
    image = encoding.padded(volume.network())
    assert image.shape == (16, 32, 24)
    assert image[:, 0].unique().tolist() == [-1]
    assert torch.equal(image[:, 8:24, 4:20], volume.network())
    assert encoding.volume_latent(volume, 1, flip=False).latents.shape[1:] == (4, 8, 6)


def test_few_slices_are_grown_by_the_outer_ones(net, tmp_path: Path) -> None:
    cases = open_dataset("phantom:count=1,size=13x16x16,spacing=10x20x20", None).cases()
    (volume,) = prepare(cases, Cache(tmp_path))
    image = volume.network()
    padded = Encoding(net, "x", Cache(tmp_path), least=(24, 16, 16)).padded(image)
    assert torch.equal(padded[5:18], image)
    assert torch.equal(padded[:5], image[:1].expand(5, -1, -1))
    assert torch.equal(padded[18:], image[-1:].expand(6, -1, -1))


@pytest.mark.parametrize("flip", [False, True])
def test_a_region_of_the_padded_volume_is_read_alone(net, tmp_path: Path, flip: bool) -> None:
    cases = open_dataset("phantom:count=1,size=12x18x21,spacing=10x20x20", None).cases()
    (volume,) = prepare(cases, Cache(tmp_path))
    encoding = Encoding(net, "x", Cache(tmp_path), least=(16, 32, 20))
    whole = encoding.padded(volume.network().flip(1) if flip else volume.network())
    lengths = [encoding.padded_axis(*each)[1] for each in zip(volume.data.shape, encoding.least, strict=True)]
    assert tuple(lengths) == whole.shape
    for first in ((0, 0, 0), (8, 8, 16), (0, 24, 0), (8, 16, 8), (12, 0, 8)):
        region = [slice(start, min(start + 8, length)) for start, length in zip(first, lengths, strict=True)]
        assert torch.equal(encoding.padded_region(volume, region, flip=flip), whole[tuple(region)])


def test_crops_for_the_joint_decoder_have_one_size_whatever_the_volume(net, tmp_path: Path) -> None:
    cases = open_dataset("phantom:count=1,size=12x18x21,spacing=10x20x20", None).cases()
    volumes = prepare(cases, Cache(tmp_path))
    encoding = Encoding(net, "x", Cache(tmp_path), least=(16, 32, 32))
    source = CodeSource(volumes, encoding, (16, 32, 32), 2)
    sample = source.sample(1, 3)
    assert sample["image"].shape == (1, 16, 32, 32)
    indices = encoding.codes(volumes[0].network().flip(1))
    assert torch.equal(sample["codes"], indices.cpu()) or torch.equal(source.sample(0, 3)["codes"], indices.cpu())
    with pytest.raises(ValueError, match="larger than"):
        CodeSource(volumes, Encoding(net, "x", Cache(tmp_path)), (16, 32, 32), 2)
