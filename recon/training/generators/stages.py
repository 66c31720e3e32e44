"""Networks of generators' trainings: new ones, initial weights, and those of the stage before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from priors.diffusion.anatomy import Size
from priors.networks.registry import KINDS
from priors.weights.networks import load_network
from recon.errors import InputError, input_errors
from recon.training.generators.cube_workshop import Cubes
from recon.training.settings.parse import merged, tell_overruled
from recon.training.workshop import Ingredients


def new_network(given: Ingredients, kind: str, fixed: Mapping[str, Any] | None = None) -> Any:
    """A network of the recipe's size, or that of the initial weights.

    Args:
        given: what the training is built from.
        kind: the kind of the network.
        fixed: settings that follow from something else than the recipe.

    Raises:
        InputError: settings that no network of the kind has, or weights that cannot be used.
    """
    if given.warm_start:
        with input_errors("`warm_start`"):
            net = load_network(given.warm_start, kind)
        tell_overruled(net.config.to_dict(), given.recipe.network, given.announce)
        return net
    with input_errors("recipe: network"):
        defaults = KINDS[kind].config_class()().to_dict()
        return KINDS[kind].build(merged(defaults, given.recipe.network) | dict(fixed or {}), {})


def stage_before(given: Ingredients, name: str) -> Path:
    """The weights file of the stage before, in the folder that the training builds upon.

    Raises:
        InputError: no folder is named, or there is no such file in it.
    """
    if given.base is None:
        raise InputError(f"`base`: name the folder with {name}, which this network builds upon")
    if not (given.base / name).is_file():
        raise InputError(f"`base` {given.base}: there is no {name} in it")
    return given.base / name


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
    classes = list(found.facts["classes"])
    if len(classes) > 1:
        raise InputError(f"`data`: {method} is told no class and learns one at a time, not {', '.join(classes)}")
