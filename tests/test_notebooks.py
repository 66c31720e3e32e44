"""The notebooks run, and find what they say; `make docs` makes pages of them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import ROOT

SITE = ROOT / "docs" / "site" / "notebook_pages.py"


@pytest.fixture(scope="module")
def pages() -> dict[str, Any]:
    """The functions that run notebooks and make pages."""
    sys.modules.setdefault("notebook_pages_of_tests", type(sys)("notebook_pages_of_tests"))
    return runpy.run_path(str(SITE), run_name="notebook_pages_of_tests")


def test_cells_are_read_as_jupytext_reads_them(pages: dict[str, Any]) -> None:
    found = pages["cells"]("# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 1\nx\n")
    assert [(cell.is_text, cell.source) for cell in found] == [(True, "# Title\n\ntext"), (False, "x = 1\nx")]


def test_a_failing_cell_fails(pages: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.py").write_text("# %%\nassert 1 == 2\n")
    monkeypatch.setitem(pages["run"].__globals__, "NOTEBOOKS", tmp_path)
    with pytest.raises(AssertionError):
        pages["run"]("bad")


def test_a_notebook_whose_page_is_kept_is_not_run_again(
    pages: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs.txt"
    (tmp_path / "small.py").write_text(f"# %%\nprint('once', file=open({str(runs)!r}, 'a'))\nprint('shown')\n")
    monkeypatch.setitem(pages["run"].__globals__, "NOTEBOOKS", tmp_path)
    monkeypatch.setenv("NOTEBOOK_PAGES", str(tmp_path))
    pages["run"]("small")
    assert "shown" in pages["page"]("small")
    assert runs.read_text() == "once\n"
    monkeypatch.delenv("NOTEBOOK_PAGES")
    assert "shown" in pages["page"]("small")
    assert runs.read_text() == "once\n" * 2


def test_a_sinogram_from_a_lab_scanner(pages: dict[str, Any]) -> None:
    _, names = pages["run"]("lab_scanner")
    assert names["sinogram"].geometry["offset_mm" if "offset_mm" in names["sinogram"].geometry else "offset"] == (
        pytest.approx(-names["shift"], abs=0.2)
    )
    wanted = {"rod": 0.2, "large hole": 0.0, "small hole": 0.0, "wire": 1.0}
    assert names["found"] == pytest.approx(wanted, abs=0.05)


def test_mr_with_several_coils(pages: dict[str, Any]) -> None:
    _, names = pages["run"]("multi_coil")
    psnr = {name: outcome.metrics["psnr"] for name, outcome in names["outcomes"].items()}
    assert psnr["l1-wavelet"] > psnr["zero-filled"] + 5
    assert psnr["cg-sense"] > psnr["zero-filled"] + 5


def test_a_head_for_a_scanner(pages: dict[str, Any]) -> None:
    printed = "".join(output.printed for _, output in pages["run"]("head_for_a_scanner")[0])
    assert "head/head.safetensors" in printed
    assert "meddiffusion" in printed
    assert "it was trained for an arc of 120 degrees, the scan has 360" in printed


def test_a_method_of_ones_own(pages: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from recon.methods.plugins import plugins

    monkeypatch.setattr(sys, "path", [*sys.path])
    found, names = pages["run"]("own_method")
    plugins.cache_clear()
    printed = "".join(output.printed for _, output in found)
    assert names["outcome"].method == "landweber"
    assert "Landweber" in printed
    assert "landweber less sirt" in printed
    assert "(inverse crime)" in printed
