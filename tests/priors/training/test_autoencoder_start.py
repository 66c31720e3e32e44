"""A start that already passes images on: what comes out, and which networks are too small for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from priors.networks.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.training.autoencoder_start import start_as_averages
from priors.training.recipe import load_recipe, recipe_names


def images(edge: int) -> Tensor:
    """Smooth ones of the usual mean square."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.randn(4, 1, edge // 8, edge // 8, edge // 8, generator=random)
    smooth = functional.interpolate(coarse, size=(edge,) * 3, mode="trilinear")
    return (0.6 * smooth).clamp(-1, 1) - 0.2


@pytest.mark.parametrize(("factor", "edge"), [(4, 16), (8, 32)])
def test_an_untrained_network_passes_block_averages_on(factor: int, edge: int) -> None:
    torch.manual_seed(0)
    config = AutoencoderConfig(width=24, norm_groups=4, codes=16, patch=edge, downsample=(factor,) * 3)
    image, errors = images(edge), []
    for start in (False, True):
        net = PatchVolumeAutoencoder(config).eval()
        if start:
            start_as_averages(net)
        with torch.no_grad():
            z = net.encode(image)
            errors.append(float((net.decode_embeddings(z) - image).abs().mean()))
    assert errors[1] < 0.12 < 0.3 < errors[0]
    averages = functional.avg_pool3d(image, factor // 2)
    halves = torch.stack([averages[:, 0, i::2, j::2, k::2] for i in (0, 1) for j in (0, 1) for k in (0, 1)], 1)
    correlation = torch.corrcoef(torch.stack([z.flatten(), halves.flatten()]))[0, 1]
    assert float(correlation) > 0.98


@pytest.mark.parametrize(
    "config",
    [
        AutoencoderConfig(width=24, norm_groups=4, latent_channels=4, codes=16),
        AutoencoderConfig(width=24, norm_groups=12, codes=16),
        AutoencoderConfig(width=24, norm_groups=4, codes=16, downsample=(2, 2, 2)),
        AutoencoderConfig(width=24, norm_groups=4, codes=16, image_channels=2),
    ],
)
def test_a_network_that_is_too_small_is_refused(config: AutoencoderConfig) -> None:
    with pytest.raises(ValueError, match="a start as averages needs"):
        start_as_averages(PatchVolumeAutoencoder(config))


@pytest.mark.parametrize("name", recipe_names("autoencoder"))
def test_the_recipes_that_start_as_averages_can(name: str) -> None:
    recipe = load_recipe("autoencoder", name)
    if recipe.task.get("start") != "averages":
        pytest.skip("it starts at random")
    values = AutoencoderConfig().to_dict() | recipe.network | {"discriminator": None}
    net = PatchVolumeAutoencoder(AutoencoderConfig.from_dict(values))
    start_as_averages(net)
    assert torch.equal(net.pre_vq_conv.weight[..., 0, 0, 0], torch.eye(net.config.latent_channels))
