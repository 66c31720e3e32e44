"""The order of the rooms: arrows run one way, between packages and inside them, and no files import each other."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PACKAGES = {
    "physics": (),
    "priors": (),
    "datasets": (),
    "recon": ("physics", "priors", "datasets"),
    "benchmarks": ("physics", "priors", "datasets", "recon"),
}
"""What each package may import besides itself."""

ROOMS = {
    "physics": ("compiled", "norm", "operator", "noise", "averaging", "ct", "mr"),
    "priors": ("networks", "weights", "diffusion", "generators", "training"),
    "recon": (
        *("errors", "options", "pictures", "scan", "metrics", "io", "interop", "solvers", "acquisition", "learned"),
        *("diffusion", "methods", "report", "view", "run", "generation", "training", "serve", "cli"),
    ),
}
"""Rooms from the bottom up, as CONTRIBUTING lists them: each imports only those before it."""


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            found[".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = file
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the suite that a module imports anywhere, late imports and those for types alone included."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= inside & modules().keys() or {node.module}
    return frozenset((named & modules().keys()) - {module})


def test_packages_import_only_those_below_them() -> None:
    for module in modules():
        package = module.split(".")[0]
        strays = {each for each in imports(module) if each.split(".")[0] not in (package, *PACKAGES[package])}
        assert not strays, f"{module} imports {sorted(strays)}"


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_only_those_before_them(package: str) -> None:
    rooms = ROOMS[package]

    def floor(module: str) -> int | None:
        parts = module.split(".")
        return rooms.index(parts[1]) if parts[0] == package and len(parts) > 1 and parts[1] in rooms else None

    up = [
        f"{module} -> {other}"
        for module in modules()
        for other in imports(module)
        if (here := floor(module)) is not None and (there := floor(other)) is not None and there > here
    ]
    assert up == []


def test_no_files_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        for other in sorted(imports(module)):
            visit(other, (*path, module))
        done.add(module)

    for module in modules():
        visit(module, ())


def test_every_room_is_in_its_place() -> None:
    """A new room is entered here and in CONTRIBUTING."""
    for package, rooms in ROOMS.items():
        there = {
            each.stem
            for each in (ROOT / package).iterdir()
            if (each.is_dir() and any(each.rglob("*.py"))) or each.suffix == ".py"
        } - {"__init__", "__main__"}
        assert there == set(rooms)
