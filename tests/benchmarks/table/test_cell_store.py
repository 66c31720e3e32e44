"""Results on the disk: what was edited or cut off counts for nothing, and what is no number is never the best."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.render import documents
from benchmarks.render.grid import grids
from benchmarks.render.page import page
from benchmarks.table.results import CellResult, Store, TableResult

CELL = CellResult(
    "aa", "c", "s", "", "40 views", "fbp", {"primary": {"psnr": 20.0, "ssim": 0.5}, "paper": {"psnr": 21.0}}, 1.0, 1.0,
    None, "m", "t", (3, 8, 8), None, 0, "cpu", {},
)  # fmt: skip
PICTURE = {"image": np.zeros((8, 8), np.float16), "truth": np.ones((8, 8), np.float16)}


def result(*cells: CellResult) -> TableResult:
    return TableResult("own", "a table", "CT", ("40 views",), (("fbp", "FBP"), ("tv", "TV")), cells)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.put(CELL, PICTURE)
    store.put_table(result(CELL))
    return store


def test_what_was_put_comes_back(store):
    assert store.cell("aa") == CELL
    assert store.table("own") == result(CELL)
    assert set(store.pictures(CELL)) == {"image", "truth"}


def test_an_edited_figure_counts_for_nothing_and_is_named(store, tmp_path):
    path = tmp_path / "cells" / "aa.json"
    path.write_text(path.read_text().replace('"psnr": 20.0', '"psnr": 99.99'))
    assert store.cell("aa") is None, "a run computes it anew"
    with pytest.raises(ValueError, match=r"aa\.json: damaged, changed since it was written"):
        store.table("own")
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert store.cell("aa") is None, "without its hash neither"


@pytest.mark.parametrize("damage", ["flip", "cut", "other zip", "text"])
def test_damaged_pictures_are_left_out(store, tmp_path, damage):
    path = tmp_path / "cells" / "aa.npz"
    content = path.read_bytes()
    if damage == "other zip":
        np.savez(path, image=np.zeros((8, 8)))
    else:
        changed = {"flip": bytes([content[0], *content[1:60], content[60] ^ 1, *content[61:]]), "cut": content[:40]}
        path.write_bytes(changed.get(damage, b"PK no zip"))
    assert store.pictures(CELL) == {}
    assert "Middle slice" not in page(result(CELL), store)


def test_a_table_that_names_files_elsewhere_reads_none(store, tmp_path):
    path = tmp_path / "own.json"
    path.write_text(path.read_text().replace('"aa"', '"../cells/aa"'))
    with pytest.raises(ValueError, match="damaged"):
        store.table("own")


@pytest.mark.parametrize("worst", [math.nan, math.inf])
def test_what_is_no_number_is_kept_as_none_and_never_the_best(store, worst):
    odd = replace(
        CELL, key="bb", method="tv", metrics={"primary": {"psnr": worst, "ssim": 0.1}, "paper": {"psnr": worst}}
    )
    store.put(odd, PICTURE)
    kept = store.cell("bb")
    assert kept is not None
    assert kept.metrics["primary"]["psnr"] is None
    for each in (odd, kept):
        (primary, _) = grids(result(CELL, each))
        by_method = dict(zip(["fbp", "tv"], primary.rows[0].entries, strict=True))
        assert by_method["fbp"].best
        assert not by_method["tv"].best
        assert "nan" not in page(result(CELL, each), store).lower().replace("finance", "")


def test_a_foreign_name_commands_neither_latex_nor_a_spreadsheet_nor_a_page():
    evil = replace(CELL, case="=cmd|' /C calc'!A0", subject="@SUM(1)", group="+1", operator=r"\input{/etc/passwd}")
    table = TableResult(
        "own", "50 %\n\\input{x}", "CT", (evil.operator,), (("fbp", r"$\write18{rm}$_^~{}&%#|<script>"),), (evil,)
    )
    rows = documents.comma_separated(table).splitlines()[1:]
    assert all(row.startswith(("\"'=cmd", "'=cmd")) for row in rows)
    assert ",'@SUM(1),'+1," in rows[0]
    assert not any(field[:1] in "=+@" for row in rows for field in row.split(",") if field)
    text = documents.latex(table)
    assert r"\input" not in text.replace(r"% 50 % \input{x}", "")
    assert r"\write" not in text
    assert r"\$\textbackslash{}write18\{rm\}\$\_\textasciicircum{}\textasciitilde{}\{\}\&\%\#\textbar{}" in text
    assert all(line.startswith(("%", "\\", " &")) or " & " in line for line in text.splitlines() if line)
    marked = documents.markdown(table)
    assert "<script>" not in marked
    assert r"\|" in marked
