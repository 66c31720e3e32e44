"""How the scans of tables come to be: continuous objects by default; the inverse crime is named wherever it stands."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.render import documents, text
from benchmarks.render.boxes import box_plots
from benchmarks.render.page import page
from benchmarks.table import measurements
from benchmarks.table.measurements import measured
from benchmarks.table.results import CellResult, Store, TableResult
from benchmarks.table.runner import Request, Source, title_of
from benchmarks.table.spec import OperatorSpec, TableSpec, load_table_spec, table_names
from datasets import open_dataset
from datasets.cache import Cache
from recon.scan.volume import Volume

TINY = "phantom:count=1,size=8x16x16,spacing=8x20x20"
PLAIN = OperatorSpec(name="40 views", geometry="paper40")
IDEAL = OperatorSpec(name="40 views", geometry="paper40", simulate="ideal")


def test_rows_are_of_continuous_objects_unless_they_say_otherwise():
    assert PLAIN.simulate == "continuous"
    assert PLAIN.name == "40 views"
    assert IDEAL.name == "40 views (inverse crime)", "whoever writes the table"
    with pytest.raises(ValueError, match="only rows with simulate: ideal are an inverse crime"):
        OperatorSpec(name="40 views (inverse crime)", geometry="paper40")
    with pytest.raises(ValueError, match="several coils are simulated of a continuous object only"):
        OperatorSpec(name="8 coils", mask="poisson", accel=4, coils=8, simulate="ideal")
    with pytest.raises(ValueError, match="coils belong to a mask"):
        OperatorSpec(name="8 coils", geometry="paper40", coils=8)


def test_rows_of_other_views_and_of_a_coarser_grid(tmp_path):
    case, cache = open_dataset(TINY, None).cases()[0], Cache(tmp_path)
    row = OperatorSpec(name="10 views", geometry="paper40", views=10, grid=(8, 8))
    measurements._LAST.clear()
    first = measured(case, row, cache, "cpu")
    assert first.measurement.y.shape[1] == 10
    assert first.truth.data.shape == (8, 8, 8)
    measurements._LAST.clear()
    again = measured(case, row, cache, "cpu")
    assert torch.equal(again.truth.data, first.truth.data)
    assert np.allclose(again.grid.affine, first.grid.affine)
    assert again.measurement.operator.domain == (8, 8, 8)
    path = tmp_path / "table.yaml"
    method = "{method: fbp, label: FBP}"
    row_of_file = "{name: 10 views, geometry: paper40, views: 10, grid: [8, 8]}"
    path.write_text(f"title: CT\nmodality: CT\noperators: [{row_of_file}]\nmethods: [{method}]\n")
    assert load_table_spec(str(path)).operators == (row,)
    for wrong, line in (
        ({"mask": "poisson", "accel": 4, "views": 10}, "belong to a geometry"),
        ({"geometry": "paper40", "grid": (8, 8), "simulate": "ideal"}, "for scans of a continuous object"),
    ):
        with pytest.raises(ValueError, match=line):
            OperatorSpec(name="wrong", **wrong)


@pytest.mark.parametrize("name", table_names())
def test_shipped_tables_begin_with_realistic_rows(name):
    ideal = [operator.simulate == "ideal" for operator in load_table_spec(name).operators]
    assert not ideal[0]
    assert ideal == sorted(ideal)


def test_the_title_names_the_crime_only_where_all_rows_are_one(tmp_path):
    def titled(*operators: OperatorSpec) -> str:
        spec = TableSpec(title="CT", modality="CT", operators=operators, methods=load_table_spec("table9").methods)
        return title_of(Request("own", spec, (Source(TINY),), None, tmp_path))

    assert "(inverse crime)" in titled(IDEAL)
    assert "crime" not in titled(PLAIN, IDEAL)


def test_a_continuous_scan_is_made_once_and_read_by_others(tmp_path, monkeypatch):
    case, cache = open_dataset(TINY, None).cases()[0], Cache(tmp_path)
    measurements._LAST.clear()
    first = measured(case, PLAIN, cache, "cpu")
    assert measured(case, PLAIN.model_copy(update={"name": "another"}), cache, "cpu") is first
    measurements._LAST.clear()
    with monkeypatch.context() as patch:
        patch.setattr(measurements, "measure_ct", None)
        again = measured(case, PLAIN, cache, "cpu")
    one, other = first.measurement, again.measurement
    assert torch.equal(one.y, other.y)
    assert torch.equal(torch.as_tensor(one.sigma), torch.as_tensor(other.sigma))
    assert torch.equal(torch.as_tensor(one.model_error), torch.as_tensor(other.model_error))
    assert torch.equal(first.truth.data, again.truth.data)
    assert torch.equal(one.operator(first.truth.data), other.operator(first.truth.data))
    assert one.protocol.sentences == other.protocol.sentences
    assert one.protocol.model_error == other.protocol.model_error
    geometries = [json.dumps(each.protocol.geometry, sort_keys=True) for each in (one, other)]
    assert geometries[0] == geometries[1]
    ideal = measured(case, IDEAL, cache, "cpu").measurement
    assert not torch.equal(ideal.y, one.y)
    assert not any(case.id in path.read_text() for path in tmp_path.rglob("*.json"))


def test_mr_rows_have_noise_and_coils(tmp_path, monkeypatch):
    case = next(each for each in open_dataset("sample", None).cases() if each.modality == "MR")
    small = Volume(torch.rand(1, 48, 48, generator=torch.Generator().manual_seed(0)), np.eye(4), "MR")
    monkeypatch.setattr(measurements, "load_case", lambda case: small)
    measurements._LAST.clear()
    row = OperatorSpec(name="poisson 4x", mask="poisson", accel=4)
    scan = measured(case, row, Cache(tmp_path), "cpu")
    assert scan.measurement.sigma is not None, "as measured scans have"
    several = measured(case, row.model_copy(update={"coils": 2}), Cache(tmp_path), "cpu")
    assert several.measurement.y.shape[1] == 2
    ideal = measured(case, row.model_copy(update={"simulate": "ideal"}), Cache(tmp_path), "cpu")
    assert ideal.measurement.sigma is None


def test_an_inverse_crime_is_pooled_by_itself_and_named_in_every_form(tmp_path):
    def cell(operator: str, method: str, psnr: float) -> CellResult:
        metrics = {name: {"psnr": psnr, "ssim": 0.5} for name in ("primary", "paper")}
        return CellResult(
            f"{operator}{method}", "case", "somebody", "", operator, method, metrics, 1.0, 1.0, None, "", "", (1, 8, 8),
            None, 0, "cpu", {},
        )  # fmt: skip

    rows = ("a", "b", "a (inverse crime)", "b (inverse crime)")
    cells = [cell(row, method, 20.0 + 10 * rows.index(row) + len(method)) for row in rows for method in ("fbp", "tv")]
    result = TableResult("table9", "CT", "CT", rows, (("fbp", "FBP"), ("tv", "TV")), tuple(cells))
    for form in (text.table, documents.markdown, documents.latex):
        assert "pooled, PSNR (dB)" in form(result)
        assert "pooled (inverse crime), PSNR (dB)" in form(result)
        assert "a (inverse crime), PSNR (dB)" in form(result)
    assert "28.00 (7.07)" in text.table(result), "the mean of a and b alone"
    assert "a (inverse crime)" in documents.comma_separated(result)
    html = page(result, Store(tmp_path))
    assert "FBP less every other (inverse crime)" in html
    assert "belong beside the rows of the (inverse crime)" in html
    assert "PSNR (dB) (inverse crime) by case" in html
    assert len(box_plots(result)) == 2 * len(box_plots(replace(result, operators=rows[:2])))
    assert "  (inverse crime)" in text.comparison(result, "tv", "fbp").splitlines()
    assert "belong beside the rows of the (inverse crime)" in text.table(result)
