"""WDM as a generator: seeds, samplers, what its card says, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from priors.diffusion.anatomy import CLASSES, find_class
from priors.generators.generator import Sampling
from priors.generators.load import load_generator
from priors.generators.wdm import WDMGenerator
from priors.networks.wdm.config import WDMConfig
from priors.networks.wdm.make import make_wdm
from priors.weights.card import Card, save_weights

CHEST = find_class("CTChestAbdomen")
SIZE = (8, 16, 12)
EXTRA = {"timesteps": 30, "schedule": "linear", "classes": {"CTChestAbdomen": [5.0, 4.0, 4.0]}, "size": [16, 16, 16]}


def folder_with(folder: Path, **changes: Any) -> Path:
    torch.manual_seed(2)
    network = make_wdm(WDMConfig(width=8, multipliers=(1, 2), blocks=1, norm_groups=4))
    torch.nn.init.normal_(network.out[-1].weight, std=0.3)
    card = Card("wdm", network.config.to_dict(), extra=EXTRA | changes)
    save_weights(folder / "wdm.safetensors", network.state_dict(), card)
    return folder


@pytest.fixture
def generator(tmp_path: Path) -> WDMGenerator:
    loaded = load_generator(folder_with(tmp_path / "mine"))
    assert isinstance(loaded, WDMGenerator)
    return loaded


def test_what_the_card_says(generator: WDMGenerator) -> None:
    assert (generator.method, generator.name) == ("WDM", "mine")
    assert generator.classes == {"CTChestAbdomen": (5.0, 4.0, 4.0)}
    assert generator.usual_sizes(CHEST) == [(16, 16, 16)]
    assert generator.usual_spacing(CHEST, (16, 16, 16)) == (5.0, 4.0, 4.0)
    assert list(generator.sha256) == ["wdm.safetensors"]
    with pytest.raises(ValueError, match="learned CTChestAbdomen alone"):
        generator.check_class(CLASSES[3])
    with pytest.raises(ValueError, match="Z is 6 voxels"):
        generator.check_size((6, 8, 8))


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_seed_gives_the_same_volume_in_every_batch(generator: WDMGenerator, sampler: str) -> None:
    sampling, told = Sampling(sampler, 4), []
    together = list(generator.generate(CHEST, SIZE, [1, 2], sampling, on_progress=lambda *each: told.append(each)))
    (alone,) = generator.generate(CHEST, SIZE, [2], sampling)
    assert alone.shape == SIZE
    assert alone.abs().max() <= 1
    torch.testing.assert_close(together[1], alone, rtol=0, atol=1e-4)
    assert not torch.allclose(together[0], alone)
    assert told[-1] == ("seed 1, 2: steps", 4, 4)


def test_plans(generator: WDMGenerator) -> None:
    assert generator.plan(CHEST, SIZE, Sampling()).times == tuple(range(29, -1, -1))
    assert generator.plan(CHEST, SIZE, Sampling(steps=3)).times == (29, 14, 0)
    assert generator.plan(CHEST, SIZE, Sampling("ddim")).steps == 30
    assert generator.plan(CHEST, SIZE, Sampling("ddim", 2, "trailing")).times == (29, 14)
    for sampling, message in ((Sampling("dpm++"), "`sampler` dpm"), (Sampling(steps=31), "`steps` 31")):
        with pytest.raises(ValueError, match=message):
            generator.plan(CHEST, SIZE, sampling)


def test_axes_of_the_released_weights_are_turned(tmp_path: Path, generator: WDMGenerator) -> None:
    turned = load_generator(folder_with(tmp_path / "turned", axes="xyz"))
    assert isinstance(turned, WDMGenerator)
    z, x, y = SIZE
    (ours,) = replace(turned, axes="zxy").generate(CHEST, (x, y, z), [5], Sampling("ddim", 3))
    (theirs,) = turned.generate(CHEST, SIZE, [5], Sampling("ddim", 3))
    assert torch.equal(theirs, ours.permute(2, 0, 1))


def test_a_folder_without_its_file_or_with_a_damaged_card(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="classes or size"):
        load_generator(folder_with(tmp_path / "broken", classes=[1]))
    damaged: dict[str, object] = {"timesteps": "many", "schedule": "straight", "axes": "zyx"}
    for name, value in damaged.items():
        with pytest.raises(ValueError, match=rf"wdm\.safetensors: its header is damaged: .*{value}"):
            load_generator(folder_with(tmp_path / name, **{name: value}))


def test_a_folder_of_two_methods_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "both")
    save_weights(folder / "hagan.safetensors", {"fc1.weight": torch.zeros(1)}, Card("hagan", {}))
    with pytest.raises(ValueError, match=r"several generators, hagan\.safetensors and wdm\.safetensors; give each"):
        load_generator(folder)
