"""Networks of generators' trainings, new ones or initial weights, and what their data and settings must fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from priors.diffusion.anatomy import Size
from priors.networks.registry import KINDS
from priors.training.section import yaml_text
from priors.weights.networks import load_network
from recon.errors import InputError, input_errors
from recon.training.generators.cube_workshop import Cubes
from recon.training.settings.parse import merged, tell_overruled
from recon.training.workshop import Ingredients


def new_network(
    given: Ingredients,
    kind: str,
    fixed: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """A network of the recipe's size, or that of the initial weights.

    Args:
        given: what the training is built from.
        kind: the kind of the network.
        fixed: settings that follow from something else than the recipe's network section.
        defaults: settings where the recipe says nothing; None are those of the kind.

    Raises:
        InputError: settings that no network of the kind has, or that are fixed at another value; or weights that cannot
            be used.
    """
    fixed = dict(fixed or {})
    if given.warm_start:
        with input_errors("`warm_start`"):
            net = load_network(given.warm_start, kind)
        sizes = net.config.to_dict()
        tell_overruled(sizes, given.recipe.network, given.announce)
        for name, value in fixed.items():
            if sizes[name] != value:
                raise InputError(f"`warm_start`: its {name} is {yaml_text(sizes[name])}; {yaml_text(value)} is wanted")
        return net
    with input_errors("recipe: network"):
        sizes = merged(defaults or KINDS[kind].config_class()().to_dict(), given.recipe.network)
        for name, value in fixed.items():
            if name in given.recipe.network and sizes[name] != value:
                raise InputError(f"recipe: network.{name} {yaml_text(sizes[name])}: must be {yaml_text(value)} here")
        return KINDS[kind].build(sizes | fixed, {})


def check_part(name: str, part: Size | None, whole: Size) -> None:
    """Refuse a part of a cube that does not fit into it; ``name`` is that of its setting.

    Raises:
        InputError: such a part.
    """
    if part is not None and any(not 1 <= edge <= most for edge, most in zip(part, whole, strict=True)):
        raise InputError(f"recipe: {name} {list(part)}: must fit into task.size {list(whole)}")


def check_one_class(method: str, found: Cubes) -> None:
    """Refuse volumes of several classes for a network that is told none: nobody could ask it for one of them.

    Raises:
        InputError: several classes.
    """
    if len(found.classes) > 1:
        raise InputError(f"`data`: {method} is told no class and learns one at a time, not {', '.join(found.classes)}")
