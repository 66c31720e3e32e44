"""The list of networks stands once: what knows of networks elsewhere knows the same ones, and all settings are told."""

from __future__ import annotations

import pytest

from priors.networks.registry import KINDS
from priors.training.recipe import RECIPES, load_recipe, recipe_names
from recon.cli.train import train
from recon.errors import InputError
from recon.training.registry import TRAININGS, find_training, takers
from recon.training.settings.listing import list_settings
from recon.training.settings.parse import merged, parse_task

NOT_TRAINED = {"lpips", "resnet3d", "efficientnet-lite0"}
"""Kinds that no training makes: networks of features."""

NETWORKS = list(TRAININGS)


def test_every_kind_is_trained_has_recipes_and_a_command():
    new = {name for name, kind in TRAININGS.items() if not kind.retrains}
    assert new == set(KINDS) - NOT_TRAINED
    assert {kind.retrains for kind in TRAININGS.values()} - {""} <= new
    assert {folder.name for folder in RECIPES.iterdir() if folder.is_dir()} == set(TRAININGS)
    assert list(train.commands) == NETWORKS
    for network in NETWORKS:
        assert {"paper", "starter", "tiny"} - {"paper"} <= set(recipe_names(network))


@pytest.mark.parametrize("network", NETWORKS)
def test_what_a_registry_names_is_there(network):
    if network.startswith("maisi"):
        pytest.importorskip("monai", reason="MAISI's networks come with monai")
    kind = find_training(network)
    module, _, function = kind.builder.partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))
    assert kind.settings_class().__doc__
    trained = KINDS[kind.retrains or network]
    assert trained.network_class().__doc__
    assert set(kind.derived) <= set(trained.config_class().__dataclass_fields__)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_is_for(kind):
    assert len(KINDS[kind].use.split()) > 3


@pytest.mark.parametrize(
    ("network", "recipe"), [(network, name) for network in NETWORKS for name in recipe_names(network)]
)
def test_no_setting_of_a_shipped_recipe_is_swallowed(network, recipe):
    content = load_recipe(network, recipe)
    kind = find_training(network)
    parse_task(kind.settings_class(), content.task)
    known = {each.key for each in list_settings(network)}
    merged({key.removeprefix("network."): None for key in known if key.startswith("network.")}, content.network)
    assert {f"task.{key}" for key, value in content.task.items() if not isinstance(value, dict)} <= known


@pytest.mark.parametrize("network", NETWORKS)
def test_every_setting_is_described(network):
    for each in list_settings(network):
        assert each.description, each.key
        assert each.wanted, each.key


@pytest.mark.parametrize(
    ("network", "key"),
    [
        ("adm", "variants"),
        ("adm", "conditions"),
        ("biflownet", "coarse"),
        ("biflownet", "conditions"),
        ("controlnet", "cubes"),
        ("refiner", "conditions"),
        ("modl", "variants"),
    ],
)
def test_settings_that_a_network_has_no_use_for_are_unknown(network, key):
    settings = find_training(network).settings_class()
    values = {"crop": [8, 8, 8]} if "crop" in settings.model_fields and network in ("biflownet", "controlnet") else {}
    with pytest.raises(InputError, match=rf"recipe: unknown key task\.{key}"):
        parse_task(settings, values | {key: 1})


def test_an_unknown_network_is_one_line():
    with pytest.raises(InputError, match="`network` fbpconf: no network that can be trained; did you mean fbpconv"):
        find_training("fbpconf")
    assert takers("stage") == ["autoencoder"]
