"""Methods of other installed packages: found, hashed and used as ours; bad ones named and left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_helpers import run_recon, write_ct

from benchmarks.table.dependencies import code_sha256
from recon.errors import InputError
from recon.methods import get_method, method_module, method_names
from recon.methods.plugins import broken, plugins

HALF = """
from recon.methods.method import Method
from recon.options import NoOptions
from recon.scan.measurement import Reconstruction
from {name}.share import SHARE


def run(measurement, options, context):
    return Reconstruction(measurement.operator.direct(measurement.y) * SHARE)


METHOD = Method("a share of the first image", "none", NoOptions, run)
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """A function that installs a package: its modules by name, and its entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def install(name: str, points: dict[str, str], **modules: str) -> Path:
        folder, facts = tmp_path / name, tmp_path / f"{name}-1.5.dist-info"
        folder.mkdir()
        facts.mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(text, encoding="utf-8")
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n", encoding="utf-8")
        lines = [f"{key} = {value}" for key, value in points.items()]
        (facts / "entry_points.txt").write_text("\n".join(["[recon.methods]", *lines, ""]), encoding="utf-8")
        plugins.cache_clear()
        return folder

    yield install
    plugins.cache_clear()
    for module in set(sys.modules) - before:
        if module.startswith("plug_"):
            del sys.modules[module]


def test_a_method_of_another_package_is_a_method(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install(
        "plug_half", {"ct_half-image": "plug_half.half:METHOD"}, half=HALF.format(name="plug_half"), share="SHARE = 0.5"
    )
    assert "half-image" in method_names("CT")
    assert "half-image" not in method_names("MR")
    assert method_module("CT", "half-image") == "plug_half.half"
    assert get_method("CT", "half-image+dc").summary.startswith("a share")

    code_sha256.cache_clear()
    before = code_sha256("CT", "half-image")
    (folder / "share.py").write_text("SHARE = 0.4", encoding="utf-8")
    code_sha256.cache_clear()
    assert code_sha256("CT", "half-image") != before, "a cell of a table is computed anew after a change of the package"

    monkeypatch.chdir(tmp_path)
    run = run_recon("svct", write_ct(tmp_path / "case.nii.gz"), "--method", "half-image", "-o", "out", "--quiet")
    assert run.code == 0, run.err
    assert "half-image" in run_recon("methods").out


@pytest.mark.parametrize(
    ("point", "module", "reason"),
    [
        ("ct_bad", "raise RuntimeError('two\\nlines')", "it cannot be loaded (RuntimeError: two lines)"),
        ("ct_bad", "METHOD = 3", "plug_bad.it:METHOD is no recon.methods.method.Method"),
        ("bad", "METHOD = 3", "its name must begin with ct_ or mr_"),
        ("ct_tv", "METHOD = 3", "the suite has a method of that name"),
    ],
)
def test_a_bad_one_is_named_and_left_out(install: Install, point: str, module: str, reason: str) -> None:
    install("plug_bad", {point: "plug_bad.it:METHOD"}, it=module)
    assert broken() == [f"plug_bad 1.5: {point}: {reason}"]
    assert "bad" not in method_names("CT")
    assert get_method("CT", "tv").citation.startswith("Sidky")
    listed = run_recon("methods")
    assert listed.code == 0
    assert listed.err == f"note: left out: plug_bad 1.5: {point}: {reason}\n"
    if point == "ct_bad":
        with pytest.raises(InputError, match=r"`method` bad: the method of plug_bad 1\.5 cannot be used"):
            get_method("CT", "bad")
