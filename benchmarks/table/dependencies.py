"""What a cell's result depends on: the code of its method, its weights, its data."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

from recon.methods import method_module
from recon.methods.method import DATA_STEP
from recon.scan.volume import Modality

MEASURED_BY = ("recon.run.measure",)
"""What makes the measurements."""

_PACKAGES = ("recon", "physics", "priors", "benchmarks")
# Imported late by name, and what all methods' results go through.
_ALWAYS = (
    "recon.run.outcome",
    *MEASURED_BY,
    "recon.metrics",
    "recon.acquisition.ct",
    "recon.acquisition.mr",
    "recon.methods.ct_fbp",
    "recon.methods.mr_zero_filled",
    "benchmarks.table.conventions",
)
_NO_DEPENDENCIES = ("recon.methods.data_step", "recon.run.choose")


@lru_cache(maxsize=256)
def code_sha256(modality: Modality, method: str) -> str:
    """Hash of the source of a method and of all modules of the suite that it imports, directly or through others.

    Of a method of another package, the modules of that package count too.
    """
    base = method.removesuffix(DATA_STEP)
    roots = [method_module(modality, base), *_ALWAYS]
    if method != base:
        roots.append("recon.methods.data_step")
    return source_sha256(tuple(roots))


@lru_cache(maxsize=1)
def measuring_sha256() -> str:
    """Hash of the source of all that makes measurements."""
    return source_sha256(MEASURED_BY)


def code_of(computes: object) -> str:
    """Hash of the source of an object's class and of all modules of the suite that it imports."""
    return _module_sha256(type(computes).__module__)


@lru_cache(maxsize=256)
def _module_sha256(module: str) -> str:
    return source_sha256((module,))


def source_sha256(roots: tuple[str, ...]) -> str:
    """Hash of the source of some modules and of all modules of the suite that they import."""
    digest = hashlib.sha256()
    for module in sorted(_reachable(roots)):
        digest.update(module.encode() + b"\0" + _source(module).read_bytes())
    return digest.hexdigest()


def _reachable(roots: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [each for each in _imports(module) if each not in found]
    return found


@lru_cache(maxsize=512)
def _imports(module: str) -> frozenset[str]:
    """Modules of the suite, and of the module's own package, that it names in its imports, late ones included.

    The method packages' registry imports by name; what it could import is no dependency of every method. Nor is what
    chooses a method, since a table names its methods.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(_source(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    ours = {name for name in names if name.split(".")[0] in (*_PACKAGES, module.split(".")[0])}
    return frozenset(name for name in ours if _is_module(name) and name not in _NO_DEPENDENCIES)


def _base(module: str, node: ast.ImportFrom) -> str:
    """The module that names are imported from, also where it is named in relation to the importing one."""
    if not node.level:
        return node.module or ""
    spec = importlib.util.find_spec(module)
    package = spec.parent if spec and spec.parent else module
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


@lru_cache(maxsize=2048)
def _is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return False
    return spec is not None and spec.origin is not None and spec.origin.endswith(".py")


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)
