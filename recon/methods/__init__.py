"""The methods: one file each, found by file name.

A file ``ct_NAME.py`` or ``mr_NAME.py`` in this folder is the method NAME (underscores become
hyphens) of that modality. It defines ``METHOD = Method(...)``. Nothing else has to be told about it:
the command line, ``recon methods`` and the benchmarks find it here. Listing the names imports
nothing of the suite; a method's own imports happen when it is asked for. Other installed packages add
methods too, see :mod:`recon.methods.plugins`.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recon.errors import InputError
from recon.methods.method import DATA_STEP, Method
from recon.methods.plugins import plugins

if TYPE_CHECKING:
    from recon.scan.volume import Modality


def method_names(modality: Modality) -> list[str]:
    """Names of the methods of a modality, sorted; imports none of the suite's own."""
    prefix = modality.lower() + "_"
    modules = {module.name for module in pkgutil.iter_modules(__path__)}
    modules |= {name for name, plugin in plugins().items() if plugin.method}
    return sorted(name.removeprefix(prefix).replace("_", "-") for name in modules if name.startswith(prefix))


def method_module(modality: Modality, name: str) -> str:
    """The module that defines a method of :func:`method_names`."""
    key = _key(modality, name)
    return plugins()[key].module if _is_plugin(key) else f"{__name__}.{key}"


def get_method(modality: Modality, name: str, option: str = "method") -> Method:
    """The method ``name`` of ``modality``, perhaps with a data-consistency step (``NAME+dc``).

    Args:
        modality: CT or MR.
        name: name of the method.
        option: name of the parameter that gave the name, for the error message.

    Raises:
        InputError: there is none; the line has the nearest name.
    """
    if name.endswith(DATA_STEP):
        from recon.methods.data_step import with_data_step

        return with_data_step(get_method(modality, name.removesuffix(DATA_STEP), option))
    names = method_names(modality)
    if name not in names:
        bad = plugins().get(_key(modality, name))
        if bad:
            raise InputError(f"`{option}` {name}: the method of {bad.package} cannot be used: {bad.reason}")
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "there are " + ", ".join(names)
        raise InputError(f"`{option}` {name}: no such {modality} method; {hint}")
    key = _key(modality, name)
    method = plugins()[key].method if _is_plugin(key) else importlib.import_module(f"{__name__}.{key}").METHOD
    assert isinstance(method, Method)
    return method


def _key(modality: Modality, name: str) -> str:
    """The name of a method's file, or of its entry point."""
    return f"{modality.lower()}_{name.replace('-', '_')}"


def _is_plugin(key: str) -> bool:
    return key in plugins() and plugins()[key].method is not None


def parse_options(method: Method, settings: Mapping[str, Any]) -> Any:
    """The method's options with ``settings`` applied.

    Args:
        method: the method whose options they are.
        settings: key to value: Python values, or text as on the command line.

    Raises:
        InputError: unknown keys, and values or combinations that cannot be; the line names the option in backticks.
    """
    from recon.options import options_from

    for key in method.moved:
        if key in settings:
            raise InputError(f"`{key}`={settings[key]}: {method.moved[key]}")
    return options_from(method.options, settings)
