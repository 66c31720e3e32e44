"""Recipes: shipped ones are valid, settings replace values, mistakes are one line with the nearest name."""

from __future__ import annotations

import pytest
import torch

from priors.networks.biflownet import BiFlowNet, BiFlowNetConfig
from priors.training.recipe import RECIPES, Recipe, load_recipe, parse_recipe, recipe_names
from priors.training.section import describe

MINIMAL = {"steps": 10, "batch": 4, "optimizer": {"lr": 0.001}}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_shipped_recipes_are_valid(path):
    assert load_recipe(path.parent.name, path.stem).steps > 0


@pytest.mark.parametrize("setting", ["optimizer.lr=1e-4", "optimizer.lr=0.0001"])
def test_settings_replace_single_values(tmp_path, setting):
    file = tmp_path / "mine.yaml"
    file.write_text("steps: 5\nbatch: 2\noptimizer: {lr: 0.1, betas: [0.5, 0.9]}\n")
    recipe = load_recipe("biflownet", str(file), [setting, "task.patch=32", "ema.decay=0.99"])
    assert recipe.optimizer.lr == 1e-4
    assert recipe.optimizer.betas == (0.5, 0.9)
    assert recipe.task == {"patch": 32}
    assert recipe.ema is not None
    assert recipe.ema.decay == 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 1}, "unknown key stepz; did you mean steps"),
        ({"optimizer": {"lr": 0.1, "beta": 1}}, "unknown key optimizer.beta; did you mean betas"),
        ({"ema": {"dekay": 0.9}}, "unknown key ema.dekay; did you mean decay"),
        ({"optimizer": {"lr": -1}}, "optimizer.lr: Input should be greater than 0"),
        ({"batch": 3, "accumulate": 2}, "batch 3 is no multiple of accumulate 2"),
        ({"precision": "8bit"}, "precision: Input should be"),
        ({"optimizer": {"lr": 0.1, "momentum": 0.5}}, "optimizer: momentum has no effect with adam; it belongs to sgd"),
        ({"optimizer": {"name": "sgd", "lr": 0.1, "betas": [0.5, 0.9]}}, "betas has no effect with sgd"),
        ({"schedule": {"end": 0.1}}, "schedule: end has no effect with constant"),
        ({"schedule": {"name": "cosine", "at": 0.5}}, "schedule: at has no effect with cosine; it belongs to step"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_the_key(change, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_recipe(MINIMAL | change, "mine")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        load_recipe("biflownet", str(file))


def test_an_unknown_recipe_names_the_file():
    with pytest.raises(ValueError, match=r"recipe papr: no such file"):
        load_recipe("biflownet", "papr")


@pytest.mark.parametrize("setting", ["steps", "=3", "steps.x=3"])
def test_a_setting_without_key_or_value_is_refused(tmp_path, setting):
    file = tmp_path / "mine.yaml"
    file.write_text("steps: 5\nbatch: 2\noptimizer: {lr: 0.1}\n")
    with pytest.raises(ValueError, match="setting"):
        load_recipe("biflownet", str(file), [setting])


def test_every_setting_of_a_recipe_is_described():
    told = {each.key: each for each in describe(Recipe)}
    assert all(each.description for each in told.values())
    assert told["schedule.warmup"].unit == "steps"
    assert told["optimizer.betas"].wanted == "a list of 2, each a number"
    assert told["clip"].wanted == "a number or null"
    assert told["steps"].default == ""
    assert told["channels_last"].default == "false"


@pytest.mark.parametrize("name", recipe_names("biflownet"))
def test_the_networks_of_its_recipes_can_be_built(name):
    values = BiFlowNetConfig(channels=8).to_dict() | load_recipe("biflownet", name).network
    with torch.device("meta"):
        net = BiFlowNet(BiFlowNetConfig.from_dict(values))
    assert net.config.to_dict() == BiFlowNetConfig.from_dict(values).to_dict()
