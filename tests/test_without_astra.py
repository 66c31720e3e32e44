"""Everything works without astra-toolbox, whose licence not everybody can pass on: by the suite's own system matrix."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import ROOT, write_ct

WITHOUT_ASTRA = """
import importlib.machinery as machinery, sys
find = machinery.PathFinder.find_spec
def hide(cls, name, path=None, target=None):
    return None if name.partition(".")[0] == "astra" else find(name, path, target)
machinery.PathFinder.find_spec = classmethod(hide)
try:
    import astra
except ModuleNotFoundError:
    pass
else:
    sys.exit("astra was imported")
from recon.cli import main
main()
"""


def recon(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITHOUT_ASTRA, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("method", ["fbp", "tv"])
def test_a_reconstruction_is_the_same_with_and_without_astra(tmp_path, method):
    case = write_ct(tmp_path / "case.nii.gz")
    figures = []
    arguments = ["svct", "-i", case, "--method", method, "--views", "20", "--simulate", "ideal", "-q"]
    done = recon(tmp_path, *arguments, "-o", tmp_path / "without")
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "recon", *map(str, arguments), "-o", str(tmp_path / "with")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    for folder in ("without", "with"):
        figures.append(json.loads((tmp_path / folder / "result.json").read_text())["metrics"]["psnr"])
    assert figures[0] == pytest.approx(figures[1], abs=0.05)


def test_a_training_needs_no_astra(tmp_path):
    data = ["--dataset", "phantom:count=8,size=16x32x32,spacing=8x10x10", "--recipe", "tiny", "--set", "steps=1"]
    task = ["--task", "svct", "--simulate", "ideal", "--views", "12"]
    done = recon(tmp_path, "train", "fbpconv", *task, *data, "--out", tmp_path / "run", "-q")
    assert done.returncode == 0, done.stderr


def test_two_files_alone_know_astra():
    knowing = set()
    for package in ("recon", "physics", "priors", "datasets", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name.partition(".")[0] == "astra" for name in names):
                    knowing.add(path.relative_to(ROOT).as_posix())
    assert knowing <= {"physics/ct/system_matrix.py", "physics/ct/astra_cuda.py", "benchmarks/speed/ct.py"}
