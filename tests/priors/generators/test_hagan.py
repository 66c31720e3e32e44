"""HA-GAN as a generator: seeds, classes, what its card says, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from priors.diffusion.anatomy import CLASSES, find_class
from priors.generators.generator import Sampling
from priors.generators.hagan import HAGANSampler
from priors.generators.load import load_generator
from priors.networks.hagan.config import HAGANConfig
from priors.networks.hagan.generator import HAGANGenerator
from priors.weights.card import Card, save_weights

CHEST = find_class("CTChestAbdomen")
SIZE = (32, 32, 32)
SPACING = [4.0, 4.0, 4.0]


def generator(folder: Path, classes: int = 0, named: tuple[str, ...] = ("CTChestAbdomen",)) -> HAGANSampler:
    torch.manual_seed(0)
    network = HAGANGenerator(HAGANConfig(32, width=4, latent=6, classes=classes))
    extra = {"classes": dict.fromkeys(named, SPACING), "size": list(SIZE)}
    card = Card("hagan", network.config.to_dict(), extra=extra)
    save_weights(folder / "hagan.safetensors", network.state_dict(), card)
    loaded = load_generator(folder)
    assert isinstance(loaded, HAGANSampler)
    return loaded


def test_a_seed_gives_the_same_volume_in_every_batch(tmp_path: Path) -> None:
    made = generator(tmp_path / "mine")
    together = list(made.generate(CHEST, SIZE, [1, 2], Sampling()))
    (alone,) = made.generate(CHEST, SIZE, [2], Sampling())
    torch.testing.assert_close(together[1], alone, atol=1e-5, rtol=0)
    assert not torch.allclose(together[0], alone, atol=1e-2)
    assert alone.shape == SIZE
    assert alone.abs().max() <= 1
    assert (made.method, made.name, made.usual_sizes(CHEST)) == ("HA-GAN", "mine", [SIZE])


def test_it_is_one_pass(tmp_path: Path) -> None:
    made = generator(tmp_path)
    plan = made.plan(CHEST, SIZE, Sampling(steps=1))
    assert (plan.sampler, plan.steps, plan.times) == ("none", 1, ())
    for sampling, message in (
        (Sampling(steps=5), "`steps` 5: HA-GAN makes a volume in one pass"),
        (Sampling("ddim"), "`sampler` ddim"),
        (Sampling(timesteps="trailing"), "`timesteps` trailing"),
    ):
        with pytest.raises(ValueError, match=message):
            made.plan(CHEST, SIZE, sampling)
    with pytest.raises(ValueError, match="makes cubes of 32 voxels alone"):
        list(made.generate(CHEST, (32, 32, 64), [0], Sampling()))


def test_classes_are_told_in_the_order_of_the_card(tmp_path: Path) -> None:
    made = generator(tmp_path / "two", 2, ("CTChestAbdomen", "CTLegs"))
    latent = torch.randn(1, 6, generator=torch.Generator().manual_seed(7))
    for index, name in enumerate(made.classes):
        (volume,) = made.generate(find_class(name), SIZE, [7], Sampling())
        with torch.no_grad():
            torch.testing.assert_close(volume, made.network(latent, torch.tensor([index]))[0, 0])
    with pytest.raises(ValueError, match="learned CTChestAbdomen, CTLegs alone"):
        made.check_class(CLASSES[3])
    with pytest.raises(ValueError, match="has 2 classes, of which its file names none"):
        generator(tmp_path / "none", 2, ()).check_class(CHEST)
