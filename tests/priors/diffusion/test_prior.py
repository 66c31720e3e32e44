"""Sampling with whole networks: the released chains reproduced, and what a prior checks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_prior import BASE, networks
from torch import Tensor

from priors.diffusion.latent_sampling import generate, sample_latents, sampling_steps
from priors.diffusion.load import load_prior
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.samplers import ddim, ddpm, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.weights.card import Card, save_weights
from priors.weights.store import AUTOENCODER, BIFLOWNET

TOLERANCE = 3e-4
"""What rounding may do to a sampling chain."""


class Released:
    """The tiny networks of the parity fixtures, and their recorded chains."""

    def __init__(self, folder: Path) -> None:
        self.known = load_file(folder / "sampling_tinyA.safetensors")
        config = json.loads((folder / "biflownet_tinyA_patch1.json").read_text())["config"]
        self.biflownet = BiFlowNet.from_official_config(config).eval()
        self.biflownet.load_state_dict(load_file(folder / "biflownet_tinyA_patch1_weights.safetensors"))
        config = json.loads((folder / "autoencoder_tiny4x.json").read_text())["config"]
        self.autoencoder = PatchVolumeAutoencoder.from_official_config(config).eval()
        self.autoencoder.load_state_dict(load_file(folder / "autoencoder_tiny4x_weights.safetensors"))
        self.prior = PatchVolumePrior(self.autoencoder, self.biflownet, GaussianDiffusion())
        self.estimate = self.biflownet.bind(self.known["y"], self.known["res"])


@pytest.fixture(scope="module")
def released(shared: Path) -> Released:
    return Released(shared / "fixtures" / "meddiffusion")


@pytest.mark.parametrize(
    ("run", "options"), [("ddpm20", None), ("ddim8_eta0", {"eta": 0.0}), ("ddim8_eta05", {"eta": 0.5})]
)
@torch.no_grad()
def test_the_recorded_chains_step_by_step(released: Released, run: str, options: dict[str, Any] | None) -> None:
    states: list[Tensor] = []
    draws = iter(released.known.get(f"{run}.noise", torch.empty(0)))
    common: dict[str, Any] = {
        "noise": lambda like: next(draws),
        "on_step": lambda done, total, z, x0: states.append(z),
    }
    z = released.known["z_init"]
    if options is None:
        diffusion, times = GaussianDiffusion(20), spaced_timesteps(20, 20)
        final = ddpm(released.estimate, z, diffusion, times, **common)
    else:
        diffusion, times = GaussianDiffusion(1000), spaced_timesteps(1000, 8)
        final = ddim(
            released.estimate, z, diffusion, times, official_last_step=True, official_eta=True, **options, **common
        )
    torch.testing.assert_close(torch.stack(states), released.known[f"{run}.states"], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(final, released.known[f"{run}.final"], rtol=0, atol=TOLERANCE)


def test_the_recorded_latents_decode_to_the_recorded_volume(released: Released) -> None:
    volume = released.prior.decode(released.known["ddpm20.final"])
    torch.testing.assert_close(volume, released.known["decoded.volume_zxy"], rtol=0, atol=TOLERANCE)
    latent = released.autoencoder.denormalise(released.known["ddpm20.final"])
    torch.testing.assert_close(latent, released.known["decoded.latent"], rtol=0, atol=1e-5)
    assert torch.equal(released.autoencoder.quantize(latent)[0], released.known["decoded.indices"])


@pytest.fixture(scope="module")
def tiny() -> PatchVolumePrior:
    """A prior of random weights; 4x, so that volumes are multiples of 32 voxels."""
    autoencoder, biflownet = networks(replace(BASE, token_patch=1))
    return PatchVolumePrior(autoencoder.eval(), biflownet.eval(), GaussianDiffusion())


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++"])
def test_a_seed_gives_the_same_volume_alone_and_in_a_batch(tiny: PatchVolumePrior, sampler: str) -> None:
    options: dict[str, Any] = {"steps": 3, "sampler": sampler}
    together = generate(tiny, 1, (32, 64, 32), seeds=[5, 6], **options)
    assert together.shape == (2, 1, 32, 64, 32)
    assert together.dtype == torch.float32
    again = generate(tiny, 1, (32, 64, 32), seeds=[5, 6], **options)
    assert torch.equal(together, again)
    latents = sample_latents(tiny, 1, (32, 64, 32), seeds=[5, 6], **options)
    alone = torch.cat([sample_latents(tiny, 1, (32, 64, 32), seeds=[seed], **options) for seed in (5, 6)])
    torch.testing.assert_close(latents, alone, rtol=0, atol=1e-4)
    assert not torch.allclose(latents[0], latents[1], atol=0.1)


def test_class_and_resolution_reach_the_network(tiny: PatchVolumePrior, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[int], list[list[float]]]] = []
    bind = tiny.biflownet.bind

    def spy(y: Tensor, res: Tensor, **options: Any) -> Any:
        seen.append((y.tolist(), res.tolist()))
        return bind(y, res, **options)

    monkeypatch.setattr(tiny.biflownet, "bind", spy)
    sample_latents(tiny, 3, (32, 64, 96), steps=1, seeds=[1, 2])
    assert seen == [([3, 3], [[8 / 64, 16 / 64, 24 / 64]] * 2)]


def test_a_network_of_velocities_is_a_noise_estimator_too(tiny: PatchVolumePrior) -> None:
    config = replace(tiny.biflownet.config, prediction="velocity")
    network = BiFlowNet(config).eval()
    network.load_state_dict(tiny.biflownet.state_dict())
    prior = replace(tiny, biflownet=network)
    z_t = torch.randn(1, tiny.channels, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([700])
    output = tiny.estimator(1, (32, 32, 32))(z_t, t)
    noise = prior.estimator(1, (32, 32, 32))(z_t, t)
    torch.testing.assert_close(noise, tiny.diffusion.noise_of_velocity(z_t, t, output))
    assert not torch.allclose(noise, output, atol=0.1)


def test_progress_of_steps_and_of_decoding(tiny: PatchVolumePrior) -> None:
    steps: list[tuple[int, int]] = []
    latents = sample_latents(
        tiny, 0, (32, 32, 32), steps=4, seeds=[1, 2], on_step=lambda done, total, z, x0: steps.append((done, total))
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    shares: list[float] = []
    tiny.decode(latents, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_sizes_are_whole_patches_where_the_decoder_s_middle_is_a_patch_s(tiny: PatchVolumePrior) -> None:
    small = {"width": 4, "latent_channels": 4, "codes": 16, "norm_groups": 2, "patch": 48}
    for by_patches, multiple in ((False, 32), (True, 96)):
        autoencoder = PatchVolumeAutoencoder(AutoencoderConfig(**small, patch_middle=by_patches))
        assert PatchVolumePrior(autoencoder, tiny.biflownet, tiny.diffusion).size_multiple == multiple


@settings(deadline=None, max_examples=60)
@given(size=st.tuples(*[st.integers(-3, 200)] * 3))
def test_wrong_sizes_name_the_nearest_right_ones(tiny: PatchVolumePrior, size: tuple[int, int, int]) -> None:
    assert tiny.size_multiple == 32
    if all(n > 0 and n % 32 == 0 for n in size):
        assert tiny.latent_size(size) == tuple(n // 4 for n in size)
        return
    with pytest.raises(ValueError, match="would do") as caught:
        tiny.latent_size(size)
    message = str(caught.value)
    for axis, n in zip("ZXY", size, strict=True):
        wrong = n <= 0 or n % 32 != 0
        assert (f"{axis} is {n} voxels" in message) == wrong
        if wrong and n > 32:
            assert f"{n // 32 * 32} or {n // 32 * 32 + 32} would do" in message


def test_what_a_prior_refuses(tiny: PatchVolumePrior) -> None:
    with pytest.raises(ValueError, match="7: this prior has the classes 0 to 6"):
        sample_latents(tiny, 7, (32, 32, 32))
    with pytest.raises(ValueError, match="1 to 1000 are possible"):
        sample_latents(tiny, 0, (32, 32, 32), steps=1001)
    with pytest.raises(ValueError, match="no sampler 'euler'"):
        sample_latents(tiny, 0, (32, 32, 32), steps=1, sampler="euler")
    other = PatchVolumeAutoencoder(AutoencoderConfig(width=8, latent_channels=2, codes=8, norm_groups=4, patch=16))
    with pytest.raises(ValueError, match="2 channels and the noise estimator takes 4"):
        PatchVolumePrior(other, tiny.biflownet, GaussianDiffusion())


def test_the_usual_steps_of_each_sampler(tiny: PatchVolumePrior) -> None:
    assert torch.equal(sampling_steps(tiny, "ddim", 10), spaced_timesteps(1000, 10))
    assert torch.equal(sampling_steps(tiny, "dpm++", 10), spaced_timesteps(1000, 10, "logsnr"))
    assert torch.equal(sampling_steps(tiny, "dpm++", 10, "trailing"), spaced_timesteps(1000, 10, "trailing"))


def _save(folder: Path, prior: PatchVolumePrior, **extra: Any) -> None:
    save_weights(
        folder / AUTOENCODER, prior.autoencoder.state_dict(), Card("autoencoder", prior.autoencoder.config.to_dict())
    )
    card = Card("biflownet", prior.biflownet.config.to_dict(), extra=extra)
    save_weights(folder / BIFLOWNET, prior.biflownet.state_dict(), card)


def test_a_prior_from_its_folder_makes_the_same_volumes(tiny: PatchVolumePrior, tmp_path: Path) -> None:
    _save(tmp_path / "mine", tiny)
    loaded = load_prior(tmp_path / "mine")
    assert loaded.name == "mine"
    assert set(loaded.sha256) == {AUTOENCODER, BIFLOWNET}
    assert all(len(digest) == 64 for digest in loaded.sha256.values())
    assert loaded.diffusion.timesteps == 1000
    expected = generate(tiny, 2, (32, 32, 32), steps=2, seeds=[9])
    assert torch.equal(generate(loaded, 2, (32, 32, 32), steps=2, seeds=[9]), expected)


def test_a_prior_of_fewer_diffusion_steps(tiny: PatchVolumePrior, tmp_path: Path) -> None:
    _save(tmp_path, tiny, timesteps=20)
    assert load_prior(tmp_path).diffusion.timesteps == 20
    for wrong in (0, "many", None):
        _save(tmp_path, tiny, timesteps=wrong)
        with pytest.raises(ValueError, match=str(tmp_path)):
            load_prior(tmp_path)
    (tmp_path / AUTOENCODER).unlink()
    with pytest.raises(ValueError, match=r"no autoencoder\.safetensors in it"):
        load_prior(tmp_path)
