"""The Patch-Volume autoencoder: the released network reproduced, its sizes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity.layouts import official_autoencoder
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from priors.networks.autoencoder import MOST_CUBES, AutoencoderConfig, PatchVolumeAutoencoder
from priors.networks.autoencoder_blocks import ResidualBlock
from priors.networks.discriminator import DiscriminatorConfig

FORWARD = 5e-5
"""What rounding may do to one forward."""

GRADIENT = 1e-4
"""The same for losses and gradients."""

SMALL = AutoencoderConfig(width=4, latent_channels=3, codes=16, downsample=(4, 4, 4), norm_groups=2, patch=8)


class Released:
    """The tiny network of the parity fixtures, and what it computed."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "autoencoder_tiny4x.json").read_text())["config"]
        self.weights = load_file(folder / "autoencoder_tiny4x_weights.safetensors")
        self.known = load_file(folder / "autoencoder_tiny4x_tensors.safetensors")

    def network(self) -> PatchVolumeAutoencoder:
        network = PatchVolumeAutoencoder.from_official_config(self.config)
        network.load_state_dict(self.weights, strict=True)
        return network.eval()

    def check(self, name: str, value: Tensor, tolerance: float = FORWARD) -> None:
        torch.testing.assert_close(value, self.known[name].view_as(value), atol=tolerance, rtol=0, msg=name)


@pytest.fixture(scope="module")
def released(shared: Path) -> Released:
    return Released(shared / "fixtures" / "meddiffusion")


@pytest.fixture(scope="module")
def small() -> PatchVolumeAutoencoder:
    torch.manual_seed(0)
    return PatchVolumeAutoencoder(SMALL).eval()


@torch.no_grad()
def test_a_patch_through_the_released_network(released: Released) -> None:
    network = released.network()
    z = network.encode(released.known["patch_x"])
    indices, embeddings, losses = network.quantize(z)
    assert torch.equal(indices, released.known["patch_indices"])
    released.check("patch_z_prequant", z)
    released.check("patch_embeddings", embeddings)
    released.check("patch_commitment_loss", losses["commitment_loss"])
    released.check("patch_perplexity", losses["perplexity"])
    released.check("patch_decode_from_indices", network.decode(indices))
    released.check("patch_decode_from_latent", network.decode(z))
    released.check("patch_recon", network(released.known["patch_x"])[0])


@torch.no_grad()
def test_the_released_network_s_activations(released: Released) -> None:
    network, seen = released.network(), {}
    encoder, decoder = network.encoder, network.decoder
    places = {
        "act_enc_conv_first": encoder.conv_first,
        "act_enc_block0": encoder.conv_blocks[0],
        "act_enc_mid_attn": encoder.mid_block.attn,
        "act_enc_out": encoder,
        "act_dec_mid_attn": decoder.mid_block.attn,
        "act_dec_block0_up": decoder.conv_blocks[0],
    }
    for name, module in places.items():
        module.register_forward_hook(lambda module, given, result, name=name: seen.update({name: result}))
    network.decode_embeddings(network.codebook.lookup(network.quantize(network.encode(released.known["patch_x"]))[0]))
    for name in places:
        released.check(name, seen[name])


@torch.no_grad()
def test_volumes_through_the_released_network(released: Released) -> None:
    network, x = released.network(), released.known["vol_x"]
    z = network.patch_encode(x)
    released.check("vol_latent_continuous", z)
    released.check("vol2_latent_continuous", network.patch_encode(released.known["vol2_x"]))
    released.check("vol_latent_wholevolume", network.encode(x))
    released.check("vol_latent_quantized", network.quantize(z)[1])
    released.check("vol_joint_decode", network.decode(z))
    released.check("vol_forward_val_recon", network(x)[0])
    # The released code's decoding of separate cubes, with its seams, is decoding each cube.
    released.check("vol_decode_sliding", torch.cat([network.decode(cube) for cube in z.split(4, dim=2)], dim=2))


@torch.no_grad()
def test_latents_are_scaled_by_the_whole_codebook(released: Released) -> None:
    network = released.network()
    assert float(network.codebook.embeddings.min()) == float(released.known["codebook_min"])
    assert float(network.codebook.embeddings.max()) == float(released.known["codebook_max"])
    released.check("vol_latent_normalized", network.normalise(released.known["vol_latent_continuous"]))
    released.check("vol_latent_denormalized", network.denormalise(released.known["vol_latent_normalized"]))


def test_losses_and_gradients_of_the_released_first_stage(released: Released) -> None:
    network, x = released.network().train(), released.known["patch_x"]
    reconstruction, losses = network(x)
    difference = 4 * l1_loss(reconstruction, x)
    total = difference + losses["commitment_loss"]
    total.backward()
    released.check("loss_recon_weighted", difference.detach(), GRADIENT)
    released.check("loss_stage1_noGAN", total.detach(), GRADIENT)
    for name in ("decoder.final_block.2.weight", "encoder.conv_first.weight", "pre_vq_conv.weight"):
        gradient = network.get_parameter(name).grad
        assert gradient is not None
        released.check(f"grad_{name}", gradient, GRADIENT)


@pytest.mark.parametrize("factor", [4, 8])
def test_keys_and_parameters_of_the_released_networks(shared: Path, factor: int) -> None:
    known = json.loads((shared / "specs" / f"keys_autoencoder_{factor}x.json").read_text())
    counts = json.loads((shared / "specs" / "param_counts.json").read_text())[f"autoencoder_{factor}x"]
    with torch.device("meta"):
        network = PatchVolumeAutoencoder.from_official_config(official_autoencoder(factor), perceptual=True)
    state = {key: [list(v.shape), str(v.dtype).removeprefix("torch.")] for key, v in network.state_dict().items()}
    assert state == known
    assert len(state) == counts["n_keys"]
    for name, child in network.named_children():
        assert sum(p.numel() for p in child.parameters()) == counts["params"][name], name
    assert sum(b.numel() for b in network.codebook.buffers()) == counts["params"]["codebook_buffers"]


def test_the_perceptual_network_is_not_trained() -> None:
    config = official_autoencoder(4)
    config["model"] |= {"n_hiddens": 4, "num_groups": 2}
    with torch.device("meta"):
        network = PatchVolumeAutoencoder.from_official_config(config, perceptual=True)
    assert not any(parameter.requires_grad for parameter in network.perceptual_loss.parameters())


sizes = st.tuples(*[st.integers(1, 3)] * 3)


@given(cubes=sizes, batch=st.integers(1, 2), factor=st.sampled_from([2, 4, 8]), patches=st.integers(1, 2))
@settings(deadline=None, max_examples=25)
@torch.no_grad()
def test_shapes_of_every_allowed_size(cubes: tuple[int, ...], batch: int, factor: int, patches: int) -> None:
    config = AutoencoderConfig(
        width=4, latent_channels=2, codes=8, downsample=(factor,) * 3, norm_groups=2, patch=factor * patches
    )
    network = PatchVolumeAutoencoder(config).eval()
    size = [config.patch * n for n in cubes]
    x = torch.rand(batch, 1, *size)
    z = network.patch_encode(x)
    assert z.shape == (batch, 2, *network.latent_size(size)) == (batch, 2, *(n // factor for n in size))
    assert network.decode(z).shape == x.shape
    assert network(x)[0].shape == x.shape


@given(axis=st.integers(0, 2), voxels=st.integers(1, 40).filter(lambda n: n % 8))
@settings(deadline=None, max_examples=40)
def test_other_sizes_are_refused_with_the_nearest_that_would_do(
    small: PatchVolumeAutoencoder, axis: int, voxels: int
) -> None:
    size = [16, 16, 16]
    size[axis] = voxels
    with pytest.raises(ValueError, match=rf"^{'ZXY'[axis]} is {voxels} voxels") as refused:
        small.patch_encode(torch.empty(1, 1, *size))
    text = str(refused.value)
    named = [int(word) for word in text.split(";")[1].replace("would do", "").split(" or ")]
    nearest = {n for n in (voxels // 8 * 8, voxels // 8 * 8 + 8) if n > 0}
    assert "\n" not in text
    assert set(named) == nearest
    assert all(network_takes(small, size, axis, n) for n in named)


@torch.no_grad()
def network_takes(network: PatchVolumeAutoencoder, size: list[int], axis: int, voxels: int) -> bool:
    latent = network.patch_encode(torch.zeros(1, 1, *size[:axis], voxels, *size[axis + 1 :]))
    return latent.shape[2 + axis] == voxels // 4


@torch.no_grad()
def test_cubes_are_encoded_each_on_its_own(small: PatchVolumeAutoencoder) -> None:
    x = torch.rand(2, 1, 16, 8, 24)
    z = small.patch_encode(x)
    for i, j, k in torch.cartesian_prod(*map(torch.arange, (2, 1, 3))).tolist():
        alone = small.encode(x[:, :, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8, 8 * k : 8 * k + 8])
        there = z[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2]
        torch.testing.assert_close(there, alone, atol=1e-6, rtol=0)


@torch.no_grad()
def test_any_number_of_cubes_at_a_time_gives_the_same(small: PatchVolumeAutoencoder) -> None:
    x = torch.rand(1, 1, 24, 16, 8)
    reference = small.patch_encode(x)
    for batch in (1, 4, 100):
        torch.testing.assert_close(small.patch_encode(x, batch=batch), reference, atol=1e-6, rtol=0)


@torch.no_grad()
def test_little_memory_means_fewer_cubes_at_a_time(
    small: PatchVolumeAutoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    hook = small.encoder.register_forward_pre_hook(lambda module, given: taken.append(len(given[0])))
    x = torch.rand(1, 1, 32, 16, 8)
    for free in (1 << 40, 0):
        monkeypatch.setattr("priors.networks.autoencoder.free_bytes", lambda device, free=free: free)
        small.patch_encode(x)
    hook.remove()
    assert taken == [MOST_CUBES] * (8 // MOST_CUBES) + [1] * 8


@torch.no_grad()
def test_the_patch_can_be_chosen(small: PatchVolumeAutoencoder) -> None:
    x = torch.rand(1, 1, 16, 16, 16)
    torch.testing.assert_close(small.patch_encode(x, patch=16), small.encode(x), atol=1e-6, rtol=0)
    for wrong in (0, 6, -4):
        with pytest.raises(ValueError, match=f"patches of {wrong} voxels do not divide by the compression 4"):
            small.patch_encode(x, patch=wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: n.patch_encode(torch.empty(1, 2, 8, 8, 8)), r"volume of shape \(1, 2, 8, 8, 8\)"),
        (lambda n: n.encode(torch.empty(8, 8, 8)), r"volume of shape \(8, 8, 8\)"),
        (lambda n: n.encode(torch.empty(1, 1, 8, 8, 6)), "Y is 6 voxels, which is no multiple of 4; 4 or 8 would do"),
        (lambda n: n.latent_size((8, 3, 9)), "X is 3 .* 4 would do; Y is 9 .* 8 or 12 would do"),
        (lambda n: n.decode(torch.empty(1, 8, 2, 2, 2)), r"latent of shape \(1, 8, 2, 2, 2\); \(B, 3, Z, X, Y\)"),
        (lambda n: n.decode(torch.zeros(2, 2, 2, dtype=torch.long)), r"indices of shape \(2, 2, 2\)"),
        (lambda n: n.decode(torch.full((1, 2, 2, 2), 16)), "the codes 0 to 15"),
    ],
)
def test_what_is_no_volume_or_latent_is_refused(small: PatchVolumeAutoencoder, call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(small)


@torch.no_grad()
def test_decoding_takes_latents_or_the_indices_of_their_codes(small: PatchVolumeAutoencoder) -> None:
    z = torch.randn(2, 3, 2, 3, 4)
    volume = small.decode(z)
    assert torch.equal(volume, small.decode(small.codebook.nearest(z)))
    assert torch.equal(volume, small.decode(small.codebook.nearest(z).to(torch.uint8)))


def test_training_reaches_encoder_and_decoder_through_the_whole_volume() -> None:
    torch.manual_seed(0)
    network = PatchVolumeAutoencoder(SMALL)
    reconstruction, _ = network(torch.rand(1, 1, 16, 8, 8))
    reconstruction.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
    assert network.codebook.N.any()  # initialised by its first batch


def test_normalising_is_undone_and_maps_the_codes_to_the_unit_range(small: PatchVolumeAutoencoder) -> None:
    codes = small.normalise(small.codebook.embeddings)
    assert (float(codes.min()), float(codes.max())) == (-1, 1)
    z = torch.randn(1, 3, 2, 2, 2) * 3
    torch.testing.assert_close(small.denormalise(small.normalise(z)), z, atol=1e-5, rtol=0)


@torch.no_grad()
def test_half_precision_takes_float32_and_keeps_the_codes_exact() -> None:
    torch.manual_seed(0)
    network = PatchVolumeAutoencoder(SMALL).eval()
    x, z = torch.rand(1, 1, 16, 16, 8), torch.randn(1, 3, 4, 4, 2)
    exact, codes = network.decode(z), network.codebook.embeddings.clone()
    latent = network.patch_encode(x)
    network.to(torch.bfloat16)
    assert torch.equal(network.codebook.embeddings, codes)
    assert network.codebook.N.dtype == torch.float32
    volume = network.decode(z)
    assert volume.dtype == torch.bfloat16
    assert float((volume - exact).abs().mean() / exact.std()) < 0.03
    assert float((network.patch_encode(x) - latent).abs().mean() / latent.std()) < 0.03


configs = st.builds(
    AutoencoderConfig,
    width=st.sampled_from([4, 8]),
    latent_channels=st.integers(1, 8),
    codes=st.integers(1, 64),
    downsample=st.sampled_from([(2, 2, 2), (4, 4, 4), (8, 8, 8)]),
    norm_groups=st.sampled_from([1, 2, 4]),
    patch=st.sampled_from([8, 16, 64]),
    discriminator=st.none() | st.builds(DiscriminatorConfig, channels=st.integers(1, 8), layers=st.integers(1, 3)),
    patch_middle=st.booleans(),
)


@given(config=configs)
@settings(deadline=None, max_examples=40)
def test_a_configuration_survives_json(config: AutoencoderConfig) -> None:
    assert AutoencoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown or missing: colour"),
        ({"width": "48"}, "width is '48'"),
        ({"codes": 0}, "codes is 0"),
        ({"downsample": [4, 4, 8]}, r"downsample \[4, 4, 8\]; three times the same power of two"),
        ({"downsample": [3, 3, 3]}, "the same power of two"),
        ({"downsample": [4.0, 4.0, 4.0]}, "downsample is 4.0"),
        ({"downsample": 4}, "downsample is 4"),
        ({"norm_groups": 5}, "width 48 does not divide into 5 groups"),
        ({"patch": 66}, "patches of 66 voxels"),
        ({"patch_middle": 1}, "patch_middle is 1; it must be true or false"),
        ({"discriminator": 3}, "discriminator is 3"),
        ({"discriminator": {"channels": 3}}, "unknown or missing: layers"),
        ({"discriminator": {"channels": 3, "layers": "2"}}, "layers is '2'"),
    ],
)
def test_settings_that_no_network_has_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AutoencoderConfig.from_dict(AutoencoderConfig().to_dict() | change)


def test_files_from_before_middles_by_patches_are_read() -> None:
    settings = AutoencoderConfig().to_dict()
    del settings["patch_middle"]
    assert AutoencoderConfig.from_dict(settings) == AutoencoderConfig(patch_middle=False)


def test_a_missing_setting_is_named() -> None:
    settings = AutoencoderConfig().to_dict()
    del settings["codes"]
    with pytest.raises(ValueError, match="unknown or missing: codes"):
        AutoencoderConfig.from_dict(settings)


def test_official_configurations_that_are_not_known_are_refused() -> None:
    config = official_autoencoder(4)
    config["model"]["norm_type"] = "batch"
    with pytest.raises(ValueError, match="norm_type 'batch'; only 'group' is known"):
        PatchVolumeAutoencoder.from_official_config(config)
    del config["model"]["n_codes"]
    with pytest.raises(ValueError, match=r"no model\.n_codes"):
        PatchVolumeAutoencoder.from_official_config(config)
    with pytest.raises(ValueError, match=r"no model\.n_hiddens"):
        PatchVolumeAutoencoder.from_official_config({})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norms_keep_their_input_s_precision(dtype):
    torch.manual_seed(0)
    block = ResidualBlock(8, 8, 4)
    nn.init.normal_(block.norm1.weight)
    x = torch.randn(2, 8, 3, 4, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = block.norm1(x.to(dtype))
    assert found.dtype == dtype
    wanted = nn.functional.group_norm(x, 4, block.norm1.weight, block.norm1.bias, block.norm1.eps)
    assert torch.allclose(found.float(), wanted, atol=1e-6 if dtype == torch.float32 else 0.1)
