"""Options of several methods that are given in one command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recon.scan.volume import Modality


def parse_methods(text: str) -> tuple[str, ...]:
    """Method names separated by commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def settings_of(method: str, methods: Sequence[str], settings: Mapping[str, str], modality: Modality) -> dict[str, str]:
    """The options that a method gets.

    Args:
        method: one of ``methods``.
        methods: all methods of the command.
        settings: key to text. ``NAME.key`` goes to the method NAME; another key goes to a single method as it is, and
            of several methods to those that have such an option, or to all where none has it, so that it is refused.
        modality: CT or MR.
    """
    found = {}
    for key, value in settings.items():
        owner, dot, rest = key.rpartition(".")
        if dot and owner in methods:
            if owner == method:
                found[rest] = value
        elif len(methods) == 1 or _has(method, key, modality) or not any(_has(m, key, modality) for m in methods):
            found[key] = value
    return found


def _has(method: str, key: str, modality: Modality) -> bool:
    """Whether a method has an option."""
    from recon.methods import get_method
    from recon.options import described

    options = get_method(modality, method).options
    return key.replace("_", "-") in {option.key for option in described(options)}
