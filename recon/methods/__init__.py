"""The methods: one file each, found by file name.

A file ``ct_NAME.py`` or ``mr_NAME.py`` in this folder is the method NAME (underscores become
hyphens) of that modality. It defines ``METHOD = Method(...)``. Nothing else has to be told about it:
the command line, ``recon methods`` and the benchmarks find it here. Listing the names imports
nothing; a method's own imports happen when it is asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recon.errors import InputError
from recon.methods.method import DATA_STEP, Method

if TYPE_CHECKING:
    from recon.scan.volume import Modality


def method_names(modality: Modality) -> list[str]:
    """Names of the methods of a modality, sorted; imports none of them."""
    prefix = modality.lower() + "_"
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.removeprefix(prefix).replace("_", "-") for name in modules if name.startswith(prefix))


def get_method(modality: Modality, name: str, option: str = "method") -> Method:
    """The method ``name`` of ``modality``, perhaps with a data step (``NAME+dc``).

    Args:
        modality: CT or MR.
        name: of it.
        option: that gave the name.

    Raises:
        InputError: there is none; the line has the nearest name.
    """
    if name.endswith(DATA_STEP):
        from recon.methods.data_step import with_data_step

        return with_data_step(get_method(modality, name.removesuffix(DATA_STEP), option))
    names = method_names(modality)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "there are " + ", ".join(names)
        raise InputError(f"`{option}` {name}: no such {modality} method; {hint}")
    module = importlib.import_module(f"{__name__}.{modality.lower()}_{name.replace('-', '_')}")
    method: Method = module.METHOD
    return method


def parse_options(method: Method, settings: Mapping[str, str]) -> Any:
    """The method's options with ``settings`` (key to text) applied; :class:`InputError` on an unknown key or
    a text that is not a value of the field's type."""
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(method.options)}
    values: dict[str, Any] = {}
    for key, text in settings.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]}?" if near else "it has " + (", ".join(fields) or "none")
            raise InputError(f"`{key}`={text}: the method has no such option; {hint}")
        values[fields[key].name] = _parse(key, text, str(fields[key].type))
    try:
        return method.options(**values)
    except ValueError as error:
        raise InputError(f"{error}") from error


def _parse(key: str, text: str, type_name: str) -> Any:
    """``text`` as the type a dataclass field was annotated with: bool, int, float, str, or one of them or None."""
    base = type_name.removesuffix(" | None")
    if type_name != base and text.lower() in ("none", "auto"):
        return None
    try:
        if base == "bool":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        value = {"int": int, "float": float, "str": str}[base](text)
    except (KeyError, ValueError):
        raise InputError(f"`{key}`={text}: not a value of type {base}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"`{key}`={text}: must be a finite number")
    return value
