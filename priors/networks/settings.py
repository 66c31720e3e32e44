"""Settings of a network as plain values for a file's header or a recipe, and back, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Config = TypeVar("Config")

MOST_BLOCKS = 1000
"""Blocks, levels or iterations of a network, at most: files of strangers name numbers of which nothing can be built."""

MOST_CHANNELS = 2**20
"""Any other count of a network's settings, at most."""

_DEPTHS = ("blocks", "levels", "pool_layers", "iterations", "depth")

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def plain_settings(config: Any) -> dict[str, Any]:
    """A configuration dataclass as values that JSON can hold; :func:`read_settings` is the reverse."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def read_settings(kind: type[Config], what: str, values: Mapping[str, Any]) -> Config:
    """A configuration dataclass from plain values.

    Args:
        kind: the dataclass; its fields are numbers, texts, choices (``Literal``) and tuples of those.
        what: name of the network, for messages.
        values: one for each field.

    Raises:
        ValueError: a setting is unknown, missing, of another type, or one that the dataclass refuses.
    """
    hints = get_type_hints(kind)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    if set(values) != names:
        raise ValueError(f"{what} settings unknown or missing: {', '.join(sorted(map(str, set(values) ^ names)))}")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{what} setting {name} is {value!r}; it must be {_describe(hints[name])}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def check_positive(what: str, config: Any, *names: str) -> None:
    """Refuse counts below 1, and those that nothing could be built of.

    Raises:
        ValueError: names the first of the settings ``names`` that is.
    """
    for name in names:
        value, most = getattr(config, name), MOST_BLOCKS if name in _DEPTHS else MOST_CHANNELS
        if value < 1:
            raise ValueError(f"{what} setting {name} is {value}; it must be 1 or more")
        if value > most:
            raise ValueError(f"{what} setting {name} is {value}; it must be at most {most}")


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    return type(value) in ((int, float) if hint is float else (hint,))


def _describe(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"a list, each {_describe(get_args(hint)[0])}"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    return _NAMES[hint]
