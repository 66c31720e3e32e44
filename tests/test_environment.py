"""What is declared, pinned, imported and shipped agree; the set-up fails in one line and leaves nothing half made."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from priors.weights.store import DATA_PACKAGE, DISTRIBUTION

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("recon", "physics", "priors", "datasets", "benchmarks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULE_OF = {
    "astra-toolbox": "astra",
    "huggingface-hub": "huggingface_hub",
    "lightning-fabric": "lightning_fabric",
    "pillow": "PIL",
    "pywavelets": "pywt",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "simpleitk": "SimpleITK",
    "tensorboardx": "tensorboardX",
}
"""Import names that are not the distribution's; written down because not all are installed everywhere."""

FASTMRI = "fastmri"
FASTMRI_IMPORTS = {"pandas", "requests", "tqdm"}
"""What fastmri.data imports and nothing of ours does."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(lines: Iterable[str]) -> dict[str, Requirement]:
    parsed = (Requirement(line) for line in lines)
    return {canonical(requirement.name): requirement for requirement in parsed}


def runtime() -> dict[str, Requirement]:
    return requirements(PROJECT["project"]["dependencies"])


TOO_LARGE = {"nnunetv2", "spekpy", "deepinv", "simpleitk", "xarray"}
"""Extras that the tests do without, since they would add much to what is downloaded; their own tests skip."""


def extras() -> set[str]:
    """Modules of the extras that users may add; the tests have all but the largest."""
    groups = PROJECT["project"]["optional-dependencies"]
    names = {canonical(Requirement(line).name) for name, lines in groups.items() if name != "dev" for line in lines}
    assert names - TOO_LARGE <= set(development())
    return {MODULE_OF.get(name, name) for name in names}


def development() -> dict[str, Requirement]:
    return requirements(PROJECT["project"]["optional-dependencies"]["dev"])


def pins() -> dict[str, str]:
    """Distribution to version, from constraints.txt; fails on a line that is no exact pin."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(row) == 2 for row in rows), "constraints.txt holds exact pins only"
    return {canonical(name): version for name, version in rows}


def sources() -> list[Path]:
    return [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]


def imported_modules() -> dict[str, Path]:
    """Third-party top-level modules that the packages import anywhere, each with a file that does."""
    found: dict[str, Path] = {}
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0]: file for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found[node.module.split(".")[0]] = file
    return {name: file for name, file in found.items() if name not in {*sys.stdlib_module_names, *PACKAGES}}


def declared_modules() -> set[str]:
    return {MODULE_OF.get(name, name) for name in runtime()}


def test_what_is_imported_is_declared() -> None:
    for module, file in imported_modules().items():
        assert module in declared_modules() | extras() | {FASTMRI}, f"{file.relative_to(ROOT)} imports {module}"


def test_what_is_declared_is_imported() -> None:
    unused = declared_modules() - set(imported_modules()) - FASTMRI_IMPORTS
    assert not unused, f"declared in pyproject.toml and imported nowhere: {unused}"


def test_dependencies_are_pinned_within_their_bounds() -> None:
    for name, requirement in {**runtime(), **development()}.items():
        assert name in pins(), f"{name} has no pin in constraints.txt"
        assert requirement.specifier.contains(pins()[name]), f"{requirement} excludes its own pin {pins()[name]}"


def test_fastmri_is_pinned_but_not_declared() -> None:
    """Its metadata ask for torchvision, which breaks beside a CPU torch; the set-up installs it without them."""
    assert FASTMRI in pins()
    assert not {FASTMRI, "torchvision"} & set(runtime())
    assert "torchvision" not in pins()
    assert f"--no-deps {FASTMRI}" in (ROOT / ".ci/setup").read_text(encoding="utf-8")


def test_torch_is_the_pinned_one() -> None:
    assert metadata.version("torch").split("+")[0] == pins()["torch"]


def conda_environment() -> dict[str, list[str]]:
    """The two lists of environment.yml: conda's own packages, and what pip installs."""
    document = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (entry["pip"] for entry in document["dependencies"] if isinstance(entry, dict))
    return {"conda": [entry for entry in document["dependencies"] if isinstance(entry, str)], "pip": pip}


def test_the_conda_environment_agrees_with_the_pins() -> None:
    listed = requirements(line for line in conda_environment()["pip"] if not line.startswith("--"))
    assert {name: str(requirement.specifier) for name, requirement in listed.items()} == {
        name: f"=={pins()[name]}" for name in {**runtime(), **development()}
    }
    for name, requirement in runtime().items():
        assert str(listed[name].marker) == str(requirement.marker), f"{name} has another marker in environment.yml"
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert f"--no-deps --editable . {FASTMRI}=={pins()[FASTMRI]}" in text


def test_the_conda_environment_has_a_python_that_will_do() -> None:
    (python,) = (entry.split("=")[1] for entry in conda_environment()["conda"] if entry.startswith("python="))
    assert Requirement(f"python{PROJECT['project']['requires-python']}").specifier.contains(python)
    assert "pip" in conda_environment()["conda"]


def dependency_closure() -> set[str]:
    """Names of everything that the runtime dependencies need, as far as it is installed here."""
    closure: set[str] = set()
    todo = [*runtime(), FASTMRI]
    while todo:
        name = todo.pop()
        if name in closure:
            continue
        closure.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        needed = (Requirement(line) for line in lines)
        todo += [canonical(r.name) for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return closure


def test_no_dependency_needs_a_distribution_of_our_packages_names() -> None:
    providers = metadata.packages_distributions()
    theirs = {canonical(name) for package in PACKAGES for name in providers.get(package, [])}
    theirs -= {PROJECT["project"]["name"]}
    assert len(dependency_closure()) > len(runtime()), "the closure was not followed"
    assert not dependency_closure() & (theirs | set(PACKAGES))


def test_nothing_else_installed_provides_our_packages() -> None:
    for package in PACKAGES:
        others = {canonical(name) for name in metadata.packages_distributions().get(package, [])}
        assert others <= {PROJECT["project"]["name"]}, f"{package} is provided by {others}"


WEIGHTS = ROOT / "packages/meddiffusion-recon-weights"
"""The distribution of the weights, whose package is a link to ``priors/pretrained``."""


def data_patterns() -> dict[str, list[str]]:
    """Globs of the data files of both distributions, by the package that they belong to."""
    patterns: dict[str, list[str]] = dict(PROJECT["tool"]["setuptools"]["package-data"])
    weights = tomllib.loads((WEIGHTS / "pyproject.toml").read_text(encoding="utf-8"))
    (globs,) = weights["tool"]["setuptools"]["package-data"].values()
    return patterns | {"priors.pretrained": globs}


def test_every_data_file_is_shipped() -> None:
    patterns = data_patterns()
    shipped = {
        file
        for name, globs in patterns.items()
        for package in (PACKAGES if name == "*" else (name,))
        for glob in globs
        for file in (ROOT / package.replace(".", "/")).glob(glob)
    }
    present = {
        file
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix != ".py" and file.parent.name != "__pycache__" and file.name[0] != "."
    }
    assert present == shipped


def test_the_weights_are_a_distribution_of_their_own_with_the_same_version() -> None:
    """So that the wheel of the suite itself is small."""
    project = tomllib.loads((WEIGHTS / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == PROJECT["project"]["version"]
    assert (project["name"], (WEIGHTS / DATA_PACKAGE).resolve()) == (DISTRIBUTION, ROOT / "priors/pretrained")
    for link, file in (("LICENSE", "LICENSE"), ("NOTICE", "NOTICE")):
        assert (WEIGHTS / link).resolve() == ROOT / file
    globs = [glob for each in PROJECT["tool"]["setuptools"]["package-data"].values() for glob in each]
    assert not [glob for glob in globs if "safetensors" in glob or "pretrained" in glob]


def test_every_folder_of_modules_is_a_package() -> None:
    for file in sources():
        assert (file.parent / "__init__.py").is_file(), f"{file.relative_to(ROOT)} would not be installed"


def test_no_test_file_imports_another() -> None:
    """What several of them need lies in a file of its own directly in ``tests/``, so that each file runs alone."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.rpartition(".")[2].startswith("test_")], path


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["cff-version"] == "1.2.0"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder, with a space in its name, that holds the set-up script alone; no constraints, so installing fails."""
    folder = tmp_path / "a checkout"
    (folder / ".ci").mkdir(parents=True)
    (folder / ".ci/setup").write_bytes((ROOT / ".ci/setup").read_bytes())
    return folder


def test_a_demo_installs_what_a_user_needs_and_the_tests_add_the_tools() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    needs = dict(re.findall(r"^([a-z]+): \$\(VENV\)/(\S+)", makefile, re.MULTILINE))
    assert needs["demo"] == ".installed"
    assert {needs[target] for target in ("setup", "test", "lint")} == {".installed-dev"}
    assert "sh .ci/setup $(TORCH) user" in makefile
    assert not {"mypy", "ruff", "diffusers", "distributed", "pytest"} & set(runtime())
    script = (ROOT / ".ci/setup").read_text(encoding="utf-8")
    assert re.search(r"downloads about [\d.]+ GB and takes [\d.]+ GB on the disk", script)
    assert script.count("    step ") == 3


def set_up(checkout: Path, python: str, torch: str = "cuda") -> subprocess.CompletedProcess[str]:
    command = ["sh", str(checkout / ".ci/setup"), torch]
    environment = {**os.environ, "PYTHON": python}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def fake_python(folder: Path, refused: str) -> str:
    """An interpreter that fails at any program that mentions ``refused``."""
    script = folder / "python3-fake"
    script.write_text(f'#!/bin/sh\ncase "$2" in *{refused}*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize(
    ("refused", "message"),
    [("version_info", "Python 3.11 or later is needed"), ("ensurepip", "lacks venv or ensurepip")],
)
def test_an_unsuitable_python_gets_one_line(checkout: Path, refused: str, message: str) -> None:
    result = set_up(checkout, fake_python(checkout, refused))
    assert result.returncode == 1
    assert message in result.stderr
    assert len((result.stdout + result.stderr).splitlines()) == 1
    assert not (checkout / ".venv").exists()


def test_an_unknown_build_of_torch_gets_one_line(checkout: Path) -> None:
    result = set_up(checkout, sys.executable, torch="gpu")
    assert result.returncode == 1
    assert result.stderr == "setup: TORCH=gpu: no such build; one of auto, cpu, cuda\n"
    assert not (checkout / ".venv").exists()


def test_a_failed_installation_does_not_count(checkout: Path) -> None:
    """Nor does the mark of an environment whose interpreter has gone."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv/.installed").touch()
    result = set_up(checkout, sys.executable)
    assert result.returncode != 0
    assert "constraints.txt" in result.stderr
    assert (checkout / ".venv/bin/python").exists(), "it got as far as installing"
    assert not (checkout / ".venv/.installed").exists()


def test_the_pins_are_for_the_oldest_python_that_is_promised() -> None:
    """pip of an older patch release refuses all pins where one of them is not for it."""
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=") + ".0"
    pinned = requirements(
        line.split("#")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    unfit = [
        f"{found.metadata['Name']} {found.version}: {needed}"
        for found in metadata.distributions()
        if canonical(found.metadata["Name"]) in pinned
        and (needed := found.metadata.get("Requires-Python"))
        and not SpecifierSet(needed).contains(oldest)
    ]
    assert unfit == []
