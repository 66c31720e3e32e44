"""The page of a table: what it says, what it shows, that it needs nothing else; and in a browser."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.render import documents, text
from benchmarks.render.boxes import box_plots
from benchmarks.render.page import page
from benchmarks.render.pictures import montages
from benchmarks.table.results import Absent, Budget, CellResult, Store, TableResult

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def cell(case: int, method: str, psnr: float) -> CellResult:
    figures = {"psnr": psnr, "ssim": psnr / 50}
    return CellResult(
        key=f"{case}-{method}",
        case=f"case<{case}>",
        subject=str(case),
        group="",
        operator="40 views",
        method=method,
        metrics={"primary": dict(figures), "paper": dict(figures)},
        seconds=2.0,
        peak_rss_mb=1500.0,
        weights=None,
        measurement_sha256="m",
        truth_sha256="t",
        size=(4, 32, 40),
        true_acceleration=None,
        seed=0,
        device="cpu",
        versions={},
    )


@pytest.fixture
def stored(tmp_path: Path) -> tuple[TableResult, Store]:
    """Seven cases of three methods; method b is best."""
    store, generator, cells = Store(tmp_path), np.random.default_rng(0), []
    for case in range(7):
        truth = generator.uniform(-900, 900, (32, 40)).astype(np.float16)
        for method, noise, psnr in (("fbp", 300.0, 20.0), ("a", 60.0, 30.0), ("b", 20.0, 33.0)):
            made = cell(case, method, psnr + case / 3 + float(generator.normal(0, 0.2)))
            image = (truth + generator.normal(0, noise, truth.shape)).astype(np.float16)
            store.put(made, {"image": image, "truth": truth})
            cells.append(made)
    result = TableResult(
        table="table9",
        title="CT: <made up>; this is not KiTS19",
        modality="CT",
        operators=("40 views",),
        methods=(("fbp", "FBP"), ("a", "A & co"), ("b", "B"), ("dds", "DDS")),
        cells=tuple(cells),
        absent=(Absent("case0", "40 views", "dds", "no weights of kind adm"),),
        budgets=(Budget("a", {"steps": 2500, "subjects": 11, "device": None}),),
        data_sha256="d" * 64,
    )
    return result, store


class Parsed(HTMLParser):
    """Tags that were opened, and every attribute that could load something."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]


def test_the_page_is_one_file_without_scripts_or_requests(stored):
    parsed = Parsed(page(*stored))
    assert "script" not in parsed.tags
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)
    assert parsed.tags.count("section") >= 7


def test_the_page_says_what_is_whose(stored):
    text = page(*stored)
    assert "CT: &lt;made up&gt;; this is not KiTS19" in text
    assert "The paper&#39;s own figures" in text or "The paper's own figures" in text
    assert "Research only, not for diagnosis." in text
    assert "27.9169 (4.1454)" in text
    assert "Absent: DDS: no weights of kind adm" in text
    assert "<dt>steps</dt><dd>2500</dd>" in text
    assert "<dt>device</dt>" not in text, "what is not known is left out"
    best = re.findall(r"<strong>(\d+\.\d+ \(\d+\.\d+\))</strong>", text)
    assert best
    assert all(float(each.split()[0]) > 30 or float(each.split()[0]) < 1 for each in best)


def test_the_best_is_compared_with_every_other(stored):
    text = page(*stored)
    section = text[text.index("<h2>B less every other</h2>") :]
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', section[: section.index("</table>")])
    assert [label for label, _ in rows] == ["FBP", "A &amp; co"]
    assert rows[0][1].startswith("+13.")
    assert rows[1][1].startswith("+3.") or rows[1][1].startswith("+2.9")
    assert "p = 0.016 (7 cases)" in rows[0][1]


def test_pictures_are_side_by_side_on_one_scale(stored):
    result, store = stored
    (found,) = montages(result, store)
    assert [panel.label for panel in found.panels] == ["Ground truth", "FBP", "A & co", "B"]
    assert found.panels[0].error is None
    assert all(panel.error for panel in found.panels[1:])
    assert found.error_top == 200, "by the middle method"


def test_the_patients_right_is_at_the_left_and_anterior_up(stored):
    """Of a (y, x) slice, whose axes run to the anterior and to the right, the last voxel comes to the top left."""
    result, store = stored
    marked = np.full((32, 40), -1000.0, np.float16)
    marked[-1, -1] = 1000.0
    for each in result.cells:
        store.put(each, {"image": marked, "truth": marked})
    (found,) = montages(result, store)
    for panel in found.panels:
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(panel.image.partition(",")[2]))))
        assert np.unravel_index(shown.argmax(), shown.shape) == (0, 0), panel.label


def test_pictures_that_are_gone_leave_the_rest(stored, tmp_path):
    result, store = stored
    for path in (tmp_path / "cells").glob("*.npz"):
        path.unlink()
    assert montages(result, store) == []
    assert "Middle slice" not in page(result, store)


def test_boxes_are_quartiles_of_the_cases_and_points_where_there_are_few(stored):
    result, _ = stored
    plot = box_plots(result)[0]
    assert [box.label for box in plot.boxes] == ["FBP", "A & co", "B"]
    values = sorted(plot.boxes[2].points)
    assert plot.boxes[2].quartiles is not None
    assert plot.boxes[2].quartiles[1] == pytest.approx(values[3])
    assert all(0 <= point <= 1 for box in plot.boxes for point in box.points)
    few = replace(result, cells=tuple(each for each in result.cells if each.case in ("case<0>", "case<1>")))
    assert all(box.quartiles is None for box in box_plots(few)[0].boxes)


def test_an_empty_table_has_a_page(stored):
    result, store = stored
    assert "Absent: DDS" in page(replace(result, cells=()), store)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_a_complaint(stored, tmp_path):
    file, picture = tmp_path / "page.html", tmp_path / "page.png"
    file.write_text(page(*stored), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,1600", f"--screenshot={picture}"]
    run = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    assert picture.is_file(), run.stderr[-500:]
    complaints = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints
    dumped = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "this is not KiTS19" in dumped.stdout


def test_what_intervals_contain_is_told_of_methods_with_a_deviation(stored) -> None:
    result, store = stored
    assert "90 % intervals" not in text.table(result) + documents.markdown(result)
    held = iter((0.9, 0.95, 0.85, 0.9, 0.9, 0.9, 0.9))
    cells = tuple(
        replace(each, metrics=each.metrics | {"primary": each.metrics["primary"] | {"coverage_90": next(held)}})
        if each.method == "b"
        else each
        for each in result.cells
    )
    told = replace(result, cells=cells)
    assert "90 % intervals of B contain: 40 views 90.0 %" in text.table(told)
    assert "90 % intervals of B contain: 40 views 90.0 %." in documents.markdown(told)
    assert "What the 90 % intervals contain" in page(told, store)
