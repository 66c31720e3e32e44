"""A recipe's sections as settings, checked; and what a network's own settings may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from priors.training.section import Section, first_problem, nearest, yaml_text
from recon.errors import InputError

S = TypeVar("S", bound=Section)


def parse_task(kind: type[S], values: Mapping[str, Any]) -> S:
    """A recipe's task section.

    Raises:
        InputError: an unknown key (the nearest is named) or a wrong value.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(f"recipe: {first_problem(error, kind, 'task.')}") from error


def merged(defaults: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A network's default settings with a recipe's on top.

    Raises:
        InputError: a key that the network does not have.
    """
    for key in changes:
        if key not in defaults:
            raise InputError(f"recipe: unknown key network.{key}{nearest(key, defaults)}")
    return {**defaults, **changes}


def tell_overruled(
    sizes: Mapping[str, Any], recipe: Mapping[str, Any], announce: Callable[[str], None], free: tuple[str, ...] = ()
) -> None:
    """Say which of a recipe's network settings initial weights overrule.

    Args:
        sizes: settings of the network that the weights belong to, as plain values.
        recipe: the recipe's network section.
        announce: called with one line for each.
        free: settings that the recipe decides all the same.

    Raises:
        InputError: a key that the network does not have.
    """
    merged(sizes, recipe)
    for key, value in recipe.items():
        own = sizes[key]
        if key not in free and _plain(value) != _plain(own):
            announce(f"network.{key} is {yaml_text(own)}, as in the initial weights, not {yaml_text(value)}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
