"""Every setting of a network's recipes as a user reads of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from priors.networks.registry import KINDS
from priors.training.recipe import Recipe
from priors.training.section import Described, describe, wanted, yaml_text
from recon.training.registry import find_training

_ATTRIBUTE = re.compile(r"^ {4}(?P<names>[a-z_]+(?:, [a-z_]+)*): (?P<text>.*(?:\n {8}.*)*)", re.MULTILINE)


def list_settings(network: str) -> list[Described]:
    """The recipe's own settings, those of its task section and those of the network, by key.

    Raises:
        InputError: no such network.
    """
    kind = find_training(network)
    recipe = [each for each in describe(Recipe) if each.key not in ("task", "network")]
    own = [] if kind.retrains else _of_network(network, kind.derived)
    return [*recipe, *describe(kind.settings_class(), "task."), *own]


def _of_network(network: str, derived: tuple[str, ...]) -> Iterator[Described]:
    config = KINDS[network].config_class()
    hints, texts = get_type_hints(config), attribute_texts(config)
    for field in fields(config):
        if field.name not in derived:
            default = "" if field.default is MISSING else yaml_text(field.default)
            text = texts.get(field.name, "")
            yield Described(f"network.{field.name}", wanted(hints[field.name]), "", default, text.rstrip("."))


def attribute_texts(config: Any) -> dict[str, str]:
    """What a class's docstring says of its attributes, by name."""
    text = inspect.cleandoc(config.__doc__ or "").partition("Attributes:\n")[2]
    found = {}
    for match in _ATTRIBUTE.finditer(text):
        for name in match["names"].split(", "):
            found[name] = " ".join(match["text"].split())
    return found
