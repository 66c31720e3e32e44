"""The implicit decoder: where its points lie, what it is before training, whose it is, and decoding by slabs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from implicit_decoders import SMALL, random_decoder, write_decoder
from tiny_prior import networks
from torch import Tensor

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.implicit_decoder import ImplicitDecoder, ImplicitDecoderConfig, interpolated
from priors.networks.implicit_streaming import decode_on_grid
from priors.networks.resampling import Axis, axis_over, resampled
from priors.weights.networks import load_implicit_decoder


def autoencoder() -> PatchVolumeAutoencoder:
    return networks()[0].eval().requires_grad_(False)


def latent(seed: int = 0) -> Tensor:
    return torch.randint(0, 32, (1, 8, 4, 4), generator=torch.Generator().manual_seed(seed))


def grid(net: PatchVolumeAutoencoder, cells: tuple[float, float, float]) -> list[Axis]:
    return [axis_over(net.compression * edge, cell) for edge, cell in zip((8, 4, 4), cells, strict=True)]


@pytest.mark.parametrize("changes", [{"width": 0}, {"layers": 0}, {"finest": 0.0}, {"finest": 3.0}, {"channels": -1}])
def test_sizes_that_no_network_can_have_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="implicit decoder setting"):
        ImplicitDecoderConfig(**changes)  # type: ignore[arg-type]


def test_a_configuration_survives_a_file_and_so_does_the_hash(tmp_path: Path) -> None:
    net = autoencoder()
    assert ImplicitDecoderConfig.from_dict(SMALL.to_dict()) == SMALL
    write_decoder(net, tmp_path / "own.safetensors")
    read = load_implicit_decoder(tmp_path / "own.safetensors")
    assert read.config == SMALL
    read.check_autoencoder(net)
    wanted = decode_on_grid(net, random_decoder(net), latent(), grid(net, (1.3, 0.6, 0.6)))
    torch.testing.assert_close(decode_on_grid(net, read, latent(), grid(net, (1.3, 0.6, 0.6))), wanted)


def test_another_autoencoder_is_refused() -> None:
    net = autoencoder()
    decoder = random_decoder(net)
    changed = autoencoder()
    with torch.no_grad():
        changed.post_vq_conv.weight[0, 0] += 1
    with pytest.raises(ValueError, match=r"made for the autoencoder \w{12}, not for \w{12}$"):
        decoder.check_autoencoder(changed)
    wider = PatchVolumeAutoencoder(replace(net.config, width=16))
    with pytest.raises(ValueError, match="an autoencoder of other sizes"):
        decoder.check_autoencoder(wider)


def test_an_untrained_network_interpolates_the_usual_output() -> None:
    net = autoencoder()
    decoder = ImplicitDecoder.on(net, SMALL)
    usual = net.decode(latent())[0, 0]
    torch.testing.assert_close(decode_on_grid(net, decoder, latent(), grid(net, (1, 1, 1))), usual, atol=1e-5, rtol=0)
    for cells in ((0.5, 0.7, 2.5), (1.6, 1.0, 0.3)):
        axes = grid(net, cells)
        made = decode_on_grid(net, decoder, latent(), axes)
        torch.testing.assert_close(made, resampled(usual, axes), atol=1e-5, rtol=0)


def test_centres_of_a_grid_of_an_odd_ratio_have_the_values_of_their_points() -> None:
    """Three voxels in place of one: the middle one has the value of the point at the old voxel's centre."""
    net = autoencoder()
    decoder = random_decoder(net)
    made = decode_on_grid(net, decoder, latent(), grid(net, (1 / 3, 1 / 3, 1 / 3)))
    points = [Axis(0.0, 1.0, net.compression * edge) for edge in (8, 4, 4)]
    features = torch.cat([chunk[:, :, 1:-1] for chunk in net.decode_features(latent())], dim=2)
    with torch.no_grad():
        there = decoder(
            features,
            net.decode(latent())[0],
            [axis.positions()[None].float() for axis in points],
            torch.full((1, 3), 1 / 3),
        )[0]
    torch.testing.assert_close(made[1::3, 1::3, 1::3], there, atol=1e-5, rtol=0)


def test_values_do_not_jump_where_the_next_voxel_begins() -> None:
    net = autoencoder()
    decoder = random_decoder(net)
    features = 20 * torch.randn(1, 8, 4, 4, 4)
    near = torch.tensor([[1.4999, 1.5001]])
    with torch.no_grad():
        values = decoder(features, torch.zeros(1, 2, 2, 2), [near, near, near], torch.full((1, 3), 0.5))
    assert float(values.max() - values.min()) < 0.02 * float(values.abs().max())


@pytest.mark.parametrize("cells", [(0.5, 0.5, 0.5), (0.7, 1.3, 1.0), (2.5, 1.7, 0.6), (9.0, 1.0, 1.0)])
@pytest.mark.parametrize("planes", [1, 3, 5, 100])
def test_slabs_of_any_thickness_give_what_decoding_at_once_gives(
    cells: tuple[float, float, float], planes: int
) -> None:
    net = autoencoder()
    decoder = random_decoder(net)
    axes = grid(net, cells)
    at_once = decode_on_grid(net, decoder, latent(), axes, planes=1000)
    assert at_once.shape == tuple(axis.count for axis in axes)
    by_slabs = decode_on_grid(net, decoder, latent(), axes, planes=planes)
    torch.testing.assert_close(by_slabs, at_once, atol=2e-4, rtol=0)


@pytest.mark.parametrize("planes", [1, 4, 100])
def test_a_grid_may_begin_and_end_inside(planes: int) -> None:
    net = autoencoder()
    decoder = random_decoder(net)
    whole = grid(net, (0.5, 1.0, 1.0))
    part = [Axis(whole[0].first + 20 * 0.5, 0.5, 15), *whole[1:]]
    made = decode_on_grid(net, decoder, latent(), part, planes=planes)
    torch.testing.assert_close(
        made, decode_on_grid(net, decoder, latent(), whole, planes=planes)[20:35], atol=2e-4, rtol=0
    )


def test_progress_rises_to_the_end_and_several_latents_are_refused() -> None:
    net = autoencoder()
    shares: list[float] = []
    decode_on_grid(net, random_decoder(net), latent(), grid(net, (0.5, 1, 1)), planes=4, on_progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 10
    assert shares[-1] == 1
    with pytest.raises(ValueError, match="2 latents; one at a time"):
        decode_on_grid(net, random_decoder(net), latent().repeat(2, 1, 1, 1), grid(net, (1, 1, 1)))


def test_every_parameter_learns_once_the_last_layer_has() -> None:
    net = autoencoder()
    decoder = random_decoder(net).train()
    axis = torch.rand(2, 5) * 3
    made = decoder(torch.randn(2, 8, 4, 4, 4), torch.zeros(2, 5, 5, 5), [axis, axis, axis], torch.full((2, 3), 0.8))
    made.square().mean().backward()
    assert all(each.grad is not None and float(each.grad.abs().sum()) > 0 for each in decoder.parameters())


def test_interpolation_between_voxels_is_linear_and_holds_the_ends() -> None:
    ramp = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 2, 1, 3)
    along = torch.tensor([-1.0, 0.0, 0.25, 2.5, 3.0, 7.0])
    made = interpolated(ramp, [along, torch.zeros(1), torch.zeros(1)])
    assert made.shape == (6, 1, 1, 3)
    torch.testing.assert_close(made[:, 0, 0, 0], torch.tensor([0.0, 0.0, 0.25, 2.5, 3.0, 3.0]))
