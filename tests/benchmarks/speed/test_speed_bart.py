"""The comparison with BART on a small problem, and without BART."""

from __future__ import annotations

import shutil

import pytest
import torch

from benchmarks.speed import bart, mri


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mri, "SHAPE", (64, 64))
    monkeypatch.setattr(mri, "COILS", 4)
    monkeypatch.setattr(bart, "SPOKES", 40)


def test_without_bart_there_are_no_rows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert bart.run(1) == []
    assert "not installed" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bart") is None, reason="bart is not installed")
@pytest.mark.usefixtures("small")
def test_both_solve_one_problem() -> None:
    rows = {str(row["name"]): row for row in bart.run(1)}
    for row in rows.values():
        assert row["ratio"] == pytest.approx(float(row["reference_s"]) / float(row["ours_s"]))
    assert float(rows["NUFFT (bart nufft)"]["agreement"]) < 0.02
    assert float(rows["ESPIRiT (bart ecalib)"]["agreement"]) < 0.05
    for name in ("cg-sense (bart pics)", "cg-sense radial (bart pics)", "cg-sense radial (sigpy)"):
        assert float(rows[name]["objective"]) < 1.01 * float(rows[name]["reference_objective"])
    assert float(rows["l1-wavelet radial (bart pics)"]["agreement"]) < 0.3


def test_the_spokes_are_of_the_same_phantom(small: None) -> None:
    grid = mri.problem().slices(slice(0, 1))
    spokes = bart.along_spokes(grid)
    first, second = grid.operator.direct(grid.y).abs(), spokes.operator.direct(spokes.y).abs()
    assert float((first - second).norm() / first.norm()) < 0.3
    assert spokes.y.dtype == torch.complex64
