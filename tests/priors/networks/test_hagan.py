"""HA-GAN's networks: every size and width, slabs, classes, spectral normalisation, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from priors.networks.hagan.config import SIZES, HAGANConfig
from priors.networks.hagan.discriminator import HAGANDiscriminator
from priors.networks.hagan.encoders import HAGANEncoder, HAGANSubEncoder
from priors.networks.hagan.generator import HAGANGenerator
from priors.networks.hagan.spectral import SpectralConv3d, SpectralLinear


@pytest.mark.parametrize(
    ("network", "size", "count"),
    [
        (HAGANGenerator, 256, 52_518_210),
        (HAGANGenerator, 128, 52_518_210),
        (HAGANDiscriminator, 256, 7_402_258),
        (HAGANDiscriminator, 128, 7_241_442),
        (HAGANEncoder, 256, 161_152),
        (HAGANSubEncoder, 256, 19_663_264),
        (HAGANSubEncoder, 128, 19_663_168),
    ],
)
def test_the_published_networks_have_their_number_of_parameters(network: Any, size: int, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in network(HAGANConfig(size=size)).parameters()) == count


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [0, 3])
def test_networks_of_every_size_fit_together(size: int, classes: int) -> None:
    config = HAGANConfig(size, width=6, latent=5, classes=classes)
    told = torch.zeros(1, dtype=torch.long) if classes else None
    with torch.device("meta"):
        networks = [kind(config) for kind in (HAGANGenerator, HAGANDiscriminator, HAGANEncoder, HAGANSubEncoder)]
        generator, judge, encoder, sub_encoder = networks
        features = generator.features(torch.zeros(1, 5), None if told is None else told.to("meta"))
        slab, low = generator.high(generator.slab(features, config.slab)), generator.low(features)
        assert features.shape == (1, 12, size // 4, size // 4, size // 4)
        assert slab.shape == (1, 1, size // 8, size, size)
        assert low.shape == (1, 1, size // 4, size // 4, size // 4)
        assert generator.high(features).shape == (1, 1, size, size, size)
        assert encoder(slab).shape == generator.slab(features, 0).shape
        assert sub_encoder(features).shape == (1, 5)
        judged = judge(slab, low, config.slab)
        assert judged.logit.shape == (1, 1)
        assert (judged.classes is None) == (not classes)


def test_a_slab_is_made_of_the_features_at_its_place() -> None:
    generator = HAGANGenerator(HAGANConfig(32, width=4, latent=3))
    features = torch.randn(1, 8, 8, 8, 8)
    assert torch.equal(generator.slab(features, 20), features[:, :, 5:6])
    assert generator.high(generator.slab(features, 20)).shape == (1, 1, 4, 32, 32)


def test_classes_are_told_and_change_the_volume() -> None:
    generator, latent = HAGANGenerator(HAGANConfig(32, width=4, latent=3, classes=2)), torch.zeros(1, 3)
    one, other = (generator(latent, torch.tensor([index])) for index in (0, 1))
    assert not torch.equal(one, other)
    with pytest.raises(ValueError, match="`classes` missing"):
        generator(latent)
    with pytest.raises(ValueError, match="`classes` given"):
        HAGANGenerator(HAGANConfig(32, width=4, latent=3))(latent, torch.tensor([0]))


def test_the_discriminator_is_told_the_place_of_the_slab() -> None:
    judge = HAGANDiscriminator(HAGANConfig(32, width=4)).eval()
    slab, low = torch.randn(1, 1, 4, 32, 32), torch.randn(1, 1, 8, 8, 8)
    assert not torch.equal(judge(slab, low, 0).logit, judge(slab, low, 28).logit)


@pytest.mark.parametrize("layer", [SpectralLinear(6, 4), SpectralConv3d(2, 4, (1, 2, 2), (1, 1, 1), (0, 0, 0))])
def test_weights_come_to_have_the_largest_singular_value_one(layer: Any) -> None:
    given = torch.randn(1, 6) if isinstance(layer, SpectralLinear) else torch.randn(1, 2, 3, 4, 4)
    layer.train()
    for _ in range(60):
        layer(given)
    matrix = layer.normalised().flatten(1)
    assert float(torch.linalg.svdvals(matrix)[0].detach()) == pytest.approx(1, abs=1e-4)
    assert float(layer.sv0) == pytest.approx(float(torch.linalg.svdvals(layer.weight.flatten(1))[0].detach()), rel=1e-4)


def test_power_iterations_stay_in_training_alone_and_gradients_flow_through_the_value() -> None:
    layer = SpectralLinear(3, 2)
    before = layer.u0.clone()
    layer.eval()(torch.ones(1, 3))
    assert torch.equal(layer.u0, before)
    layer.train()(torch.ones(1, 3)).sum().backward()
    assert not torch.equal(layer.u0, before)
    assert layer.weight.grad is not None
    # A weight over its own singular value does not depend on its scale, so that the gradient has no part along it.
    assert float((layer.weight.grad * layer.weight).sum().detach()) == pytest.approx(0, abs=1e-5)


def test_settings_survive_as_plain_values() -> None:
    config = HAGANConfig(64, 8, 16, 2)
    assert HAGANConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 100}, "size 100; it must be one of 32, 64, 128, 256"),
        ({"width": 5}, "width 5 must be even, and 4 or more"),
        ({"latent": 0}, "latent is 0"),
        ({"classes": 1}, "classes 1 must be 0, or 2 or more"),
    ],
)
def test_settings_of_which_nothing_can_be_built(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HAGANConfig(**values)
