"""Every picture that the suite writes lies as radiologists look at it, and says so: seen on volumes with a mark."""

from __future__ import annotations

import ast
import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.measured.page import page as measured_page
from benchmarks.measured.results import CellStore, MeasuredCell, MeasuredResult, RowResult
from benchmarks.quality.prior_report import _slices
from benchmarks.quality.spacing_report import _magnified
from benchmarks.render.page import page
from benchmarks.table.results import CellResult, Store, TableResult
from datasets.cache import Cache
from datasets.case import Case
from recon.generation.preview import preview
from recon.io.sinogram import Sinogram
from recon.pictures.glance import glance
from recon.pictures.lettering import MARGIN, UNKNOWN, Frame, framed, scale_length
from recon.pictures.planes import PLANES, select
from recon.report.data import ReportData
from recon.report.print_figures import FigureRequest, write_figures
from recon.scan.volume import Source, Volume
from recon.training.prepared import prepare
from recon.training.validation import side_by_side

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("recon", "physics", "priors", "datasets", "benchmarks")
SHAPE = (3, 24, 40)  # z, y, x
LETTERS = ("R", "L", "A", "P")


def marked() -> np.ndarray:
    """(z, y, x), -1000 but for the voxel that lies farthest to the right, anterior and superior, and its row."""
    volume = np.full(SHAPE, -1000.0, np.float32)
    volume[:, -1, -1] = 1000.0
    return volume


def inner(picture: np.ndarray) -> np.ndarray:
    return picture[MARGIN:-MARGIN, MARGIN:-MARGIN]


def is_marked_at_the_top_left(picture: np.ndarray) -> bool:
    return np.unravel_index(int(picture.argmax()), picture.shape) == (0, 0)


def margins(picture: np.ndarray) -> list[bool]:
    """Whether something is drawn at the left, right, top and bottom of a picture, at the middle of each side."""
    height, width = picture.shape
    row, column = slice(height // 2 - 5, height // 2 + 5), slice(width // 2 - 5, width // 2 + 5)
    sides = picture[row, :MARGIN], picture[row, -MARGIN:], picture[:MARGIN, column], picture[-MARGIN:, column]
    return [bool(side.max() > 0) for side in sides]


def test_letters_and_scale_stand_in_the_margins_as_far_as_they_are_known():
    black = np.zeros((40, 60), np.uint8)
    assert margins(framed(black, LETTERS, Frame(True))) == [True] * 4
    assert framed(black, LETTERS, UNKNOWN).max() == 0
    one, other = (framed(black, letters, Frame(True)) for letters in (LETTERS, ("L", "R", "A", "P")))
    assert (one != other).any(), "which letter it is can be seen"
    bar = framed(black, LETTERS, Frame(False, 2.0))
    assert scale_length(60, 2.0) == 50
    drawn = np.flatnonzero(bar[40 + MARGIN + 2] == 255)
    assert (drawn[0], len(drawn)) == (MARGIN, 25), "50 mm are 25 pixels of 2 mm"


def test_previews_of_trainings_and_prior_reports():
    image = torch.from_numpy(marked() / 1000).permute(0, 2, 1)  # (Z, X, Y), as networks have it
    frame = Frame(True, 1.5)
    for picture in (side_by_side(image[1], image[1], frame=frame), _slices(image, image, frame=frame)):
        halves = np.split(picture, 2, axis=1)
        for half in halves:
            assert half.shape == (SHAPE[1] + 2 * MARGIN, SHAPE[2] + 2 * MARGIN)
            assert is_marked_at_the_top_left(inner(half))
            assert margins(half) == [True] * 4
    assert margins(side_by_side(image[1], frame=UNKNOWN)) == [False] * 4


def test_details_of_slices_at_any_voxel_size():
    image = torch.from_numpy(marked()[1].T / 1000)  # (X, Y), as networks have it
    picture = _magnified(image.numpy(), shown=max(SHAPE), times=3)
    assert picture.shape == (3 * SHAPE[1], 3 * SHAPE[2])
    assert is_marked_at_the_top_left(picture[::3, ::3])


def test_the_picture_of_a_generated_volume():
    picture = preview(Volume(torch.from_numpy(marked()), np.diag([1.0, 1.0, 1.0, 1.0]), "CT"))
    axial = picture[: SHAPE[1] + 2 * MARGIN, : SHAPE[2] + 2 * MARGIN]
    assert is_marked_at_the_top_left(inner(axial))
    assert margins(axial) == [True] * 4


def test_the_planes_of_reports():
    for selection in select(SHAPE, (1.0, 1.0, 1.0), 10**6):
        picture = selection.pictures(marked())[selection.centre]
        top_left = {"axial": (0, 0), "coronal": (0, 0), "sagittal": (0, 0)}[selection.plane.name]
        if selection.plane.name != "axial":  # the mark is at one edge of these planes, away from their middle
            picture = selection.plane.picture(marked(), SHAPE[selection.plane.axis] - 1)
        assert np.unravel_index(int(picture.argmax()), picture.shape) == top_left
    assert [plane.letters for plane in PLANES] == [LETTERS, ("R", "L", "S", "I"), ("A", "P", "S", "I")]


def table(tmp_path: Path, **known: Any) -> str:
    cell = CellResult(
        "k", "c", "s", "", "40 views", "fbp", {"primary": {"psnr": 20.0, "ssim": 0.5}, "paper": {}}, 1.0, 1.0, None,
        "m", "t", SHAPE, None, 0, "cpu", {},
    )  # fmt: skip
    middle = marked()[1].astype(np.float16)
    Store(tmp_path).put(cell, {"image": middle, "truth": middle, **known})
    result = TableResult("own", "a table", "CT", ("40 views",), (("fbp", "FBP"),), (cell,))
    return page(result, Store(tmp_path))


def test_the_page_of_a_table(tmp_path):
    text = table(tmp_path, pixel=np.array([2.0, 2.0], np.float32), sides_known=np.array(True))
    slices = re.findall(r'<div class="slice".*?</div>', text, re.S)
    assert len(slices) == 5, "ground truth with its zoom, the method with its zoom and its error"
    for each in slices:
        letters = re.findall(r'class="letter (\w+)">(\w)<', each)
        assert letters == [("left", "R"), ("right", "L"), ("top", "A"), ("bottom", "P")]
    assert "the bar is 20 mm long" in text
    assert 'class="scale" style="width: 25.00%"' in slices[0], "20 of 80 mm"
    truth = np.asarray(Image.open(io.BytesIO(base64.b64decode(re.findall(r"base64,([^\"]+)", slices[0])[0]))))
    assert is_marked_at_the_top_left(truth)


def test_a_table_whose_cells_do_not_know_their_sides_has_no_letters(tmp_path):
    unknown = {"pixel": np.full(2, np.nan, np.float32), "sides_known": np.array(False)}
    for text in (table(tmp_path / "a", **unknown), table(tmp_path / "b")):
        assert 'class="letter' not in text
        assert 'class="scale"' not in text
        assert "where the patient's sides are is not known" in text


@pytest.mark.parametrize("known", [True, False])
def test_a_prepared_volume_knows_what_its_file_said(tmp_path, monkeypatch, known):
    source = Source(tmp_path / "a.npy", "numpy", np.eye(4), (40, 24, 3), {}, known, known)
    volume = Volume(torch.from_numpy(marked()), np.diag([1.5, 1.5, 3.0, 1.0]), "CT", source)
    monkeypatch.setattr("recon.training.prepared.read_case", lambda case: volume)
    (tmp_path / "a.npy").touch()
    case = Case("a", "a", "CT", "volume", tmp_path / "a.npy", "train")
    (found,) = prepare([case], Cache(tmp_path / "cache"))
    assert found.frame == (Frame(True, 1.5) if known else UNKNOWN)


@pytest.mark.parametrize("known", [True, False])
def test_pictures_of_real_scans_lie_as_others_do(tmp_path, known):
    cell = MeasuredCell("k", "fbp", "fbp", {"psnr": 1.0}, sides_known=known, pixel=1.0 if known else None)
    CellStore(tmp_path).put(cell, {"image": marked()[1], "reference": marked()[1]})
    row = RowResult("scan", "file", "truth", False, "fbp", cell.scores, (cell,), {"fbp": False})
    text = measured_page(MeasuredResult("real-ct", "title", "CT", (row,), ()), CellStore(tmp_path))
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in re.findall(r"64,([^\"]+)", text)]
    assert len(pictures) == 2
    for picture in pictures:
        assert is_marked_at_the_top_left(inner(picture))
        assert margins(picture)[:3] == [known] * 3
    assert ("the patient's right (R)" in text.replace("&#39;", "'")) is known


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_one_place_turns_planes():
    turning = [path.relative_to(ROOT).as_posix() for path in sources() if "[::-1, ::-1]" in path.read_text()]
    assert turning == ["recon/pictures/planes.py"]


def test_a_glance_in_a_notebook():
    spacing, window = (1.0, 1.0, 1.0), (-1000.0, 1000.0)
    text = glance([("", marked())], spacing, window, ["a line"])
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in re.findall(r"64,([^\"]+)", text)]
    assert [picture.shape for picture in pictures] == [(24, 40), (3, 40), (3, 24)]
    sizes = [(int(height), int(width)) for height, width in re.findall(r"height:(\d+)px;width:(\d+)px", text)]
    assert sizes == [(134, 224), (17, 224), (17, 134)], "to one scale"
    for plane in PLANES:
        image = np.full(SHAPE, -1000.0, np.float32)
        place = [n // 2 for n in SHAPE]
        place[plane.rows], place[plane.columns] = SHAPE[plane.rows] - 1, SHAPE[plane.columns] - 1
        image[tuple(place)] = 1000
        (data,) = re.findall(r"64,([^\"]+)", glance([("", image)], spacing, window, [], [plane]))
        assert is_marked_at_the_top_left(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))))


def test_a_sinogram_in_a_notebook_lies_as_the_report_has_it():
    data = torch.zeros(1, 8, 16)
    data[0, 0, 0] = 1
    text = Sinogram(data, {}, (1, 4, 4), np.eye(4))._repr_html_()
    (picture,) = re.findall(r"64,([^\"]+)", text)
    assert is_marked_at_the_top_left(np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))))


def test_pictures_for_a_paper(tmp_path: Path):
    data = ReportData(
        title="",
        case={},
        protocol=[],
        notices=[],
        modality="CT",
        images={"result": marked()},
        labels={},
        spacing=(2.0, 2.0, 2.0),
        metrics={},
        data_picture=None,
        mask=None,
        trace=[],
        provenance={},
    )
    for known in (True, False):
        folder = tmp_path / str(known)
        write_figures(folder, replace(data, sides_known=known), FigureRequest("0,2000", "2"))
        picture = np.asarray(Image.open(folder / "axial-002-result.png"))[:, :, 0]
        assert is_marked_at_the_top_left(inner(picture))
        assert margins(picture)[:3] == [known] * 3


def test_no_picture_is_written_that_is_not_looked_at_here():
    """Whoever writes pictures in another file adds it here, with a test above."""
    writers = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.fromarray", "figures.png"):
                writers.add(path.relative_to(ROOT).as_posix())
    assert writers == {
        "benchmarks/downstream/table11/files.py",
        "benchmarks/generation/contact.py",
        "benchmarks/generation/files.py",
        "benchmarks/generation/page.py",
        "benchmarks/measured/page.py",
        "benchmarks/quality/prior_report.py",
        "benchmarks/quality/spacing_report.py",
        "benchmarks/render/pictures.py",
        "priors/training/log.py",
        "recon/generation/files.py",
        "recon/generation/preview.py",
        "recon/pictures/figures.py",
        "recon/io/sinogram.py",
        "recon/pictures/glance.py",
        "recon/pictures/lettering.py",
        "recon/report/page.py",
        "recon/report/print_figures.py",
        "recon/report/viewer.py",
    }
