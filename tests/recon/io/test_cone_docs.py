"""What docs/cone-beam.md shows runs, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cli_helpers import run_recon

from physics.ct.protocol import parse_scan_protocol
from recon.io.nifti.volume import read_volume

PAGE = (Path(__file__).resolve().parents[3] / "docs/cone-beam.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "docs/cone-beam.md", "exec"), {})
    run = run_recon("svct", "--sinogram", "ball.h5", "--method", "fdk", "-o", "out", "--quiet")
    assert run.code == 0, run.err
    middle = read_volume(Path("out/recon.nii.gz"), "CT").data[8:16, 12:20, 12:20]
    assert float(middle.mean()) == pytest.approx(0, abs=10)


def test_the_geometries_are_geometries() -> None:
    found = [parse_scan_protocol(yaml.safe_load(text)) for text in blocks("yaml")]
    assert [each.views for each in found] == [180, 1080, 2]


def test_the_options_are_options() -> None:
    known = run_recon("import", "--help").out + run_recon("svct", "--help").out
    assert [option for option in sorted(set(re.findall(r"--[a-z][a-z-]+", PAGE))) if option not in known] == []
