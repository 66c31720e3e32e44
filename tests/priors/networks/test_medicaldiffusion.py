"""Medical Diffusion's networks: sizes, what they refuse, and a codebook that stays what it was loaded as.

That they compute what the official ones do is tested in ``tests/priors/test_parity.py``.
"""

from __future__ import annotations

import pytest
import torch

from priors.networks.factorised.attention import Attention, RelativeBias, Rotary
from priors.networks.medicaldiffusion.config import FactorisedUNetConfig, VQGANConfig
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN

UNET = FactorisedUNetConfig(width=8, multipliers=(1, 2), channels=4, heads=2, head_width=8, norm_groups=4)
VQ = VQGANConfig(width=4, latent_channels=4, codes=16, norm_groups=4, judge_channels=4, judge_layers=2)


def parameters(network: torch.nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def test_published_networks_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        wide, narrow, vqgan = (
            FactorisedUNet(FactorisedUNetConfig()),
            FactorisedUNet(FactorisedUNetConfig(width=32)),
            VQGAN(VQGANConfig()),
        )
    assert (parameters(wide), parameters(narrow)) == (35_730_328, 9_981_528)
    assert [parameters(part) for part in (vqgan.encoder, vqgan.decoder)] == [441_568, 948_417]
    assert [parameters(part) for part in (vqgan.pre_vq_conv, vqgan.post_vq_conv)] == [520, 576]
    assert parameters(vqgan.image_discriminator) == 2_764_481
    assert parameters(vqgan.video_discriminator) == 11_049_665


@pytest.mark.parametrize("size", [(1, 4, 6), (5, 2, 2), (40, 2, 4)])
def test_the_noise_of_any_number_of_slices_is_estimated(size: tuple[int, int, int]) -> None:
    network = FactorisedUNet(UNET)
    assert network(torch.randn(2, 4, *size), torch.tensor([0, 299])).shape == (2, 4, *size)


def test_slices_that_cannot_be_halved_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Y is 3 voxels, which is no multiple of 2"):
        FactorisedUNet(UNET)(torch.randn(1, 4, 4, 2, 3), torch.tensor([5]))


def test_rotary_attention_depends_on_distances_of_slices_alone() -> None:
    """Moving all places by one leaves the products of queries and keys as they are."""
    rotary = Rotary(8)
    q, k = torch.randn(2, 1, 1, 1, 8).unbind()
    turned_q, turned_k = (rotary(each.expand(1, 1, 5, 8)) for each in (q, k))
    products = (turned_q @ turned_k.transpose(-1, -2))[0, 0]
    for distance in range(-3, 4):
        along = products.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along))


def test_relative_bias_tells_before_from_behind_and_shares_the_far_ones() -> None:
    bias = RelativeBias(2)(80)[0]
    assert torch.equal(bias[0, 1:4], bias[5, 6:9])
    assert not torch.equal(bias[0, 1], bias[1, 0])
    assert len(bias[0, 32:].unique()) == 1


def test_attention_with_a_bias_that_hides_all_others_keeps_to_itself() -> None:
    attention = Attention(4, heads=1, head_width=4)
    tokens = torch.randn(1, 3, 4)
    alone = torch.full((1, 3, 3), -torch.inf).masked_fill(torch.eye(3, dtype=torch.bool), 0.0)
    one_by_one = torch.cat([attention(tokens[:, place : place + 1]) for place in range(3)], dim=1)
    torch.testing.assert_close(attention(tokens, alone), one_by_one)


def test_a_loaded_codebook_is_not_begun_anew_by_training() -> None:
    """The official flag of an initialised codebook is not in its state dict, so that a loaded one begins anew."""
    trained = VQGAN(VQ).train()
    trained(torch.randn(2, 1, 16, 16, 16))
    loaded = VQGAN(VQ).train()
    loaded.load_state_dict(trained.state_dict())
    codes = loaded.codebook.embeddings.clone()
    loaded.codebook.restart_below = 0.0
    loaded.codebook.decay = 0.999
    loaded(torch.full((2, 1, 16, 16, 16), 0.3))
    assert (loaded.codebook.embeddings - codes).abs().max() < 0.05


def test_volumes_go_through_codes_and_back_in_their_size() -> None:
    network = VQGAN(VQ).eval()
    volumes = torch.randn(2, 1, 8, 16, 24).clamp(-1, 1)
    latent = network.encode(volumes)
    assert latent.shape == (2, 4, 2, 4, 6)
    torch.testing.assert_close(network.denormalise(network.normalise(latent)), latent, atol=1e-5, rtol=0)
    made, losses = network(volumes)
    torch.testing.assert_close(made, network.decode(latent))
    assert made.shape == volumes.shape
    assert losses["commitment_loss"] > 0
    with pytest.raises(ValueError, match="Z is 9 voxels"):
        network.encode(torch.zeros(1, 1, 9, 16, 16))


def test_the_decoder_works_in_half_precision_while_codes_stay_exact() -> None:
    network = VQGAN(VQ).eval()
    latent = torch.randn(1, 4, 2, 2, 2)
    exact = network.decode(latent)
    network.to(torch.bfloat16)
    assert network.codebook.embeddings.dtype == torch.float32
    made = network.decode(latent)
    assert made.dtype == torch.bfloat16
    assert (made.float() - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"downsample": 3}, "downsample is 3"),
        ({"codes": 0}, "codes is 0"),
        ({"norm_groups": 3}, "width is 4"),
        ({"width": "wide"}, "width is 'wide'"),
    ],
)
def test_wrong_sizes_of_a_vqgan_are_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VQGANConfig.from_dict({**VQ.to_dict(), **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"multipliers": []}, "multipliers is"),
        ({"multipliers": [1, 0]}, "multipliers is"),
        ({"width": 10}, "width is 10"),
        ({"head_width": 5}, "head_width is 5"),
        ({"init_kernel": 4}, "init_kernel is 4"),
    ],
)
def test_wrong_sizes_of_a_unet_are_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FactorisedUNetConfig.from_dict({**UNET.to_dict(), **change})
