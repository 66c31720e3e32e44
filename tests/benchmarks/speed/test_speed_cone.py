"""The cone-beam rows of the speed table on small problems."""

from __future__ import annotations

import json

import pytest
from cli_helpers import run_benchmarks

from benchmarks.speed import cone


def test_the_rows_have_their_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SIZE", 16), ("VIEWS", 4), ("LARGE", 12), ("LARGE_VIEWS", 4), ("_COPIED", 2**16)):
        monkeypatch.setattr(cone, name, value)
    monkeypatch.delenv(cone.RTK_PYTHON, raising=False)
    done = run_benchmarks("speed", "cone", "cone-memory", "--repeats", 1, "--json")
    assert done.code == 0, done.err
    row, fdk, sirt = json.loads(done.out)
    assert row["ours_s"] == pytest.approx(row["ours_forward_s"] + row["ours_adjoint_s"])
    assert row["share"] == pytest.approx(row["voxel_gb_per_s"] / row["copy_gb_per_s"])
    assert "ratio" not in row
    assert fdk["peak_rss_mb"] > 0
    assert "1 iteration" in sirt["name"]


def test_an_interpreter_without_rtk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cone.RTK_PYTHON, "false")
    monkeypatch.setattr(cone, "SIZE", 8)
    with pytest.raises(RuntimeError, match="install itk-rtk there"):
        cone.run(1)
