"""What the report says and holds; test_report_browser.py looks at it in a browser."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from recon.pictures.figures import nice_above, to_bytes
from recon.pictures.planes import PLANES, average, select
from recon.report import ReportData, render
from recon.report.curve import convergence
from recon.report.embedding import embed
from recon.report.packing import HOUNSFIELD, LEVELS, body_levels, even_levels, nearest, pack, scale_between
from recon.report.table import heading, metrics_table

SHAPE = (6, 8, 10)


def report(**changes: Any) -> ReportData:
    """A small CT report, with ``changes`` to its fields."""
    truth = np.random.default_rng(0).uniform(-900, 900, SHAPE).astype(np.float32)
    data = ReportData(
        title="A case",
        case={"File": "case.nii.gz"},
        protocol=["40 views over 360°."],
        notices=[],
        modality="CT",
        images={"truth": truth, "baseline": truth + 90, "result": truth + 30},
        labels={"baseline": "FBP", "result": "TV"},
        spacing=(5.0, 1.5, 1.5),
        metrics={"FBP": {"psnr": 27.123, "ssim": 0.5}, "TV": {"psnr": 30.0, "ssim": 0.8}},
        data_picture=np.ones((40, 30), np.float32),
        mask=None,
        trace=[(1, 0.5), (2, 0.1)],
        provenance={"Seed": "0"},
    )
    return dataclasses.replace(data, **changes)


class Page(HTMLParser):
    """The parts of a page that the tests ask about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        found = re.search(r'<script type="application/json" id="viewer-data">(.*?)</script>', html, re.DOTALL)
        assert found
        self.payload = json.loads(found[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def captions(self) -> list[str]:
        return [column["caption"] for column in self.payload["columns"]]


def picture(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))))


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """The inverse of ``pack``, written as viewer.js does it: pixel by pixel."""
    slices, rows, columns = packed["shape"]
    raw = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8).astype(int).reshape(2, -1)
    folded = (raw[0] + 256 * raw[1]).reshape(slices, rows, columns)
    errors = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
    errors[:, :, 0] = errors[:, :, 0].cumsum(axis=1)
    return errors.cumsum(axis=2)


def test_page_is_one_document_without_addresses() -> None:
    html = render(report())
    assert html.startswith("<!DOCTYPE html>")
    assert not re.search(r"https?:|src=\"(?!data:)|href=\"(?!data:)|@import|url\(", html)
    assert "default-src 'none'" in html


def test_text_is_escaped_everywhere() -> None:
    evil = "<script>alert(1)</script><!-- & \"' "
    html = render(
        report(
            title=evil,
            case={evil: evil},
            protocol=[evil],
            notices=[evil],
            labels={"truth": evil, "baseline": evil, "result": evil},
            metrics={evil: {evil: 1.0}},
            provenance={evil: evil},
        )
    )
    assert "<script>alert" not in html
    assert "<!--" not in html
    page = Page(html)
    assert len(page.all("script")) == 2
    assert page.text.count("<script>alert(1)</script>") > 10


def test_page_is_accessible() -> None:
    page = Page(render(report()))
    assert page.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.all("img"))
    assert {cell["scope"] for cell in page.all("th")} == {"row", "col"}
    named = {label.get("for") for label in page.all("label")}
    assert {"slice", "error-scale"} <= named
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(identifiers)


def test_without_script_the_middle_planes_are_there_in_radiological_orientation() -> None:
    """Bright faces at the right, anterior and superior end of the volume must lie at the left and the top."""
    volume = np.full(SHAPE, -1000, np.float32)
    volume[:, :, -1] = 0  # x grows to the Right
    volume[:, -1, :] = 100  # y grows to the Anterior
    volume[-1, :, :] = 200  # z grows to the Superior
    page = Page(render(report(images={"result": volume})))
    assert "hidden" in page.all("form")[0]
    axial, coronal, sagittal = (picture(str(image["src"])) for image in page.all("img") if "plane" in str(image["alt"]))
    assert axial.shape == (8, 10)
    assert (axial[0] == to_bytes(np.array(100), -160, 240)).all()
    assert (axial[1:, 0] == to_bytes(np.array(0), -160, 240)).all()
    assert not axial[1:, 1:].any()
    assert coronal.shape == (6, 10)
    assert (coronal[0] == to_bytes(np.array(200), -160, 240)).all()
    assert (coronal[1:, 0] > 0).all()
    assert not coronal[1:, 1:].any()
    assert sagittal.shape == (6, 8)
    assert (sagittal[0] == to_bytes(np.array(200), -160, 240)).all()
    assert (sagittal[1:, 0] == to_bytes(np.array(100), -160, 240)).all()
    assert not sagittal[1:, 1:].any()


def test_letters_name_the_sides() -> None:
    html = render(report())
    letters = re.findall(r'class="letter (\w+)" aria-hidden="true">(\w)<', html)
    assert letters[:4] == [("left", "R"), ("right", "L"), ("top", "A"), ("bottom", "P")]
    assert letters[-4:] == [("left", "A"), ("right", "P"), ("top", "S"), ("bottom", "I")]


def test_payload_holds_the_volumes_within_one_step() -> None:
    data = report()
    payload = Page(render(data)).payload
    for key, image in data.images.items():
        volume = payload["volumes"][key]
        axial = volume["low"] + volume["step"] * unpack(volume["planes"]["axial"])
        np.testing.assert_allclose(axial, image[:, ::-1, ::-1], atol=volume["step"] / 2 + 1e-3)


def test_with_truth_there_are_error_maps() -> None:
    page = Page(render(report()))
    assert page.captions() == ["Truth", "FBP", "TV", "FBP − truth", "TV − truth"]
    assert "PSNR (dB)" in page.text
    chosen = [option for option in page.all("option") if "selected" in option]
    assert [option["value"] for option in chosen] == ["50.0"]  # the result is off by 30 HU everywhere
    assert [option["value"] for option in page.all("option")] == ["10.0", "20.0", "50.0", "100.0", "200.0"]


def test_without_truth_there_is_the_residual_alone() -> None:
    images = {key: image for key, image in report().images.items() if key != "truth"}
    unknown = {"psnr": None, "ssim": float("nan")}
    page = Page(
        render(
            report(images=images, metrics={"FBP": {**unknown, "residual": 0.2}, "TV": {**unknown, "residual": 0.05}})
        )
    )
    assert page.captions() == ["FBP", "TV"]
    assert "Data residual" in page.text
    assert "PSNR" not in page.text
    assert "SSIM" not in page.text
    assert "Error" not in page.text


def test_std_is_a_column_of_its_own() -> None:
    data = report()
    spread = np.full(SHAPE, 7.0, np.float32)
    page = Page(render(dataclasses.replace(data, images={**data.images, "std": spread})))
    assert page.captions()[-1] == "Standard deviation"
    assert page.payload["deviationTop"] == 10.0


def test_numbers_that_are_none_or_nan() -> None:
    table = metrics_table({"FBP": {"psnr": None, "nmse": 0.5}, "TV": {"psnr": 30.0, "nmse": float("nan")}}, False)
    assert [[cell.text for cell in row] for row in table.rows.values()] == [["—", "0.5"], ["30.00", "—"]]
    assert not any(cell.difference for row in table.rows.values() for cell in row)
    assert not table.has_best


def test_best_follows_the_metric_and_differences_the_baseline() -> None:
    rows = {
        "FBP": {"psnr": 27.0, "nmse": 0.5, "residual": 0.1},
        "CGLS": {"psnr": 31.0, "nmse": 0.2, "residual": 0.0},
        "TV": {"psnr": 30.0, "nmse": 0.1, "residual": 0.2},
    }
    table = metrics_table(rows, False)
    best = {label: [cell.best for cell in row] for label, row in table.rows.items()}
    assert best == {"FBP": [False] * 3, "CGLS": [True, False, False], "TV": [False, True, False]}
    assert [cell.difference for cell in table.rows["TV"]] == ["+3.00", "−0.4", "+0.1"]
    assert [cell.difference for cell in table.rows["FBP"]] == ["", "", ""]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("psnr", "PSNR (dB)"),
        ("psnr_soft_tissue", "PSNR soft tissue (dB)"),
        ("ssim_3d", "SSIM 3D"),
        ("Own Name", "Own Name"),
    ],
)
def test_heading(name: str, text: str) -> None:
    assert heading(name) == text


@pytest.mark.filterwarnings("error")
def test_voxels_that_are_not_finite() -> None:
    data = report()
    broken = data.images["result"].copy()
    broken[3, 2, :3] = np.nan, np.inf, -np.inf
    for images in (
        {**data.images, "result": broken},
        {"result": broken},
        {"result": np.full(SHAPE, np.nan, np.float32)},
    ):
        for modality in ("CT", "MR"):
            html = render(dataclasses.replace(data, images=images, modality=modality))
            assert not re.search(r"\bnan\b|\binf\b|NaN|Infinity", Page(html).text)
            assert "voxels are not finite" in html
    assert "TV: 3 voxels are not finite" in render(dataclasses.replace(data, images={**data.images, "result": broken}))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 8, 10), (6, 1, 10), (6, 8, 1), (1, 1, 10), (1, 1, 1), (2, 2, 2)])
def test_thin_volumes(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).uniform(0, 100, shape).astype(np.float32)
    page = Page(render(report(images={"truth": image, "result": image})))
    sides = [picture(str(i["src"])).shape[:2] for i in page.all("img") if "plane" in str(i["alt"])]
    assert sides
    if sorted(shape)[1] > 1:
        assert min(min(side) for side in sides) > 1
    slider = next(i for i in page.all("input") if i["id"] == "slice")
    assert ("disabled" in slider) == (slider["max"] == "0")


def test_constant_images_and_direct_methods() -> None:
    flat = np.zeros(SHAPE, np.float32)
    html = render(
        report(images={"truth": flat, "result": flat}, modality="MR", trace=[], data_picture=None, metrics={})
    )
    assert "Convergence" not in html
    assert "Metrics" not in html
    assert ">Data<" not in html


def test_aspect_ratio_is_in_millimetres() -> None:
    axial, coronal, sagittal = select((6, 8, 10), (5.0, 1.5, 1.0), 10**6)
    assert axial.extent == (12.0, 10.0)
    assert coronal.extent == (30.0, 10.0)
    assert sagittal.extent == (30.0, 12.0)
    html = render(report(spacing=(5.0, 1.5, 1.0)))
    assert re.findall(r"aspect-ratio: ([\d.]+)", html)[:: len(Page(html).captions())] == [
        "0.83333",
        "0.33333",
        "0.40000",
    ]


def test_mask_and_kspace() -> None:
    mask = np.zeros((8, 12), bool)
    mask[:, ::4] = True
    kspace = np.full((8, 12), -np.inf, np.float32)
    kspace[:, ::4] = 3.0
    page = Page(render(report(modality="MR", mask=mask, data_picture=kspace)))
    assert "25.0 % of 8 × 12 positions sampled (white), acceleration 4.00." in page.text
    shown = [picture(str(i["src"])) for i in page.all("img") if "mask" in str(i["alt"])]
    assert (shown[0].astype(bool) == mask).all()
    assert "acceleration" not in Page(render(report(modality="MR", mask=np.zeros((4, 4), bool)))).text


def test_large_volumes_are_thinned_and_the_page_says_so() -> None:
    stack, coronal, sagittal = select((300, 512, 512), (1.0, 1.0, 1.0), 42 * 256**2)
    assert stack.factor == 2
    assert len(stack.indices) == 42
    assert (stack.indices[0], stack.indices[-1]) == (0, 299)
    assert {int(step) for step in np.diff(stack.indices)} == {7, 8}
    assert coronal.factor == sagittal.factor == 1
    image = np.zeros((100, 256, 256), np.float32)
    assert "42 of the 100 axial slices are shown, evenly spread." in render(report(images={"result": image}))


def test_noise_that_does_not_pack_is_thinned_further(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(2).normal(0, 500, (20, 30, 40)).astype(np.float32)
    data = report(images={"truth": noise, "result": noise[::-1].copy()})
    whole = embed(data)
    assert len(whole.stack.indices) == 20
    assert whole.is_exact
    monkeypatch.setattr("recon.report.embedding.PACKED_LIMIT", whole.size - 1)
    coarser = embed(data)
    assert len(coarser.stack.indices) == 20
    assert not coarser.is_exact
    monkeypatch.setattr("recon.report.embedding.PACKED_LIMIT", whole.size // 3)
    assert len(embed(data).stack.indices) < 20
    assert embed(data).size <= 1.1 * whole.size / 3


def test_fewer_grey_levels_are_within_half_a_step_and_finest_in_soft_tissue() -> None:
    values = np.arange(-1024, 3000, 1.0)
    levels = body_levels(8, 24)
    kept = HOUNSFIELD.low + HOUNSFIELD.step * levels[nearest(HOUNSFIELD.codes(values), levels)]
    soft = (values >= -200) & (values < 300)
    assert np.abs(kept - values)[soft].max() <= 5
    assert np.abs(kept - values).max() <= 13
    assert set(np.diff(even_levels(4))) <= {3, 4}


def test_a_coarse_page_says_in_which_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "in steps of 2 HU" in render(report())
    monkeypatch.setattr("recon.report.embedding.PACKED_LIMIT", 100)
    page = Page(render(report()))
    assert "in steps of 8 HU from -200 to 300 HU and of 24 HU elsewhere" in page.text
    volume = page.payload["volumes"]["truth"]
    axial = volume["low"] + volume["step"] * np.array(volume["levels"])[unpack(volume["planes"]["axial"])]
    assert axial.min() >= -1024 - 24


def test_the_page_says_what_it_is_not_for_and_has_soft_tissue_first() -> None:
    figures = {"psnr": 30.0, "ssim": 0.9, "psnr_soft_tissue": 25.0}
    page = Page(render(report(metrics={"FBP": figures, "TV": figures})))
    assert "Research only, not for diagnosis." in page.text
    assert page.text.index("PSNR soft tissue") < page.text.index("SSIM")


def test_one_key_flips_to_the_ground_truth_or_the_first_of_several() -> None:
    assert Page(render(report())).payload["flip"] == "truth"
    images = {key: image for key, image in report().images.items() if key != "truth"}
    assert Page(render(report(images=images))).payload["flip"] == "baseline"
    alone = render(report(images={"result": images["result"]}, metrics={}))
    assert Page(alone).payload["flip"] is None
    assert 'id="flip"' not in alone


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(1, 1200)] * 3), st.integers(10, 10**7))
def test_selection_stays_within_its_budget(shape: tuple[int, int, int], budget: int) -> None:
    stack = select(shape, (1.0, 1.0, 1.0), budget)[0]
    rows, columns = (-(-shape[axis] // stack.factor) for axis in (stack.plane.rows, stack.plane.columns))
    assert len(stack.indices) == 1 or len(stack.indices) * (rows - 1) * (columns - 1) <= budget
    assert list(stack.indices) == sorted(set(stack.indices))
    assert 0 <= stack.indices[0] <= stack.indices[-1] < shape[stack.plane.axis]


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(0, LEVELS - 1)))
def test_packing_loses_nothing(codes: np.ndarray) -> None:
    assert (unpack({"shape": codes.shape, "data": pack(codes)}) == codes).all()


@given(st.floats(-2048, 6142))
def test_hounsfield_codes_are_within_one_hu(value: float) -> None:
    code = int(HOUNSFIELD.codes(np.array([value]))[0])
    assert abs(HOUNSFIELD.low + HOUNSFIELD.step * code - value) <= 1


def test_codes_of_what_a_scale_does_not_cover() -> None:
    codes = scale_between(0.0, 1.0).codes(np.array([-5, 7, np.nan, np.inf, -np.inf]))
    assert codes.tolist() == [0, LEVELS - 1, 0, LEVELS - 1, 0]


def test_average() -> None:
    ramp = np.arange(15, dtype=np.float32).reshape(3, 5)
    np.testing.assert_allclose(average(ramp, 2), [[3, 5, 6.5], [10.5, 12.5, 14]])
    assert average(ramp, 1).dtype == np.float32


def test_planes_look_along_their_axes() -> None:
    assert [(plane.axis, plane.rows, plane.columns) for plane in PLANES] == [(0, 1, 2), (1, 0, 2), (2, 0, 1)]


def test_curve_is_logarithmic() -> None:
    curve = convergence([(0, 1.0), (50, 0.1), (100, 0.01)])
    assert curve is not None
    heights = np.diff([y for _, y in curve.points])
    assert heights[0] == pytest.approx(heights[1])
    assert heights[0] > 0
    assert curve.y_ticks[0].label == "0.01"
    assert (curve.x_ticks[0].label, curve.x_ticks[-1].label) == ("0", "100")
    assert "0.01 at iteration 100" in curve.summary


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 10**5), st.floats(width=32)), max_size=8))
def test_curve_of_anything(trace: list[tuple[int, float]]) -> None:
    curve = convergence(trace)
    usable = [r for _, r in trace if np.isfinite(r) and r > 0]
    assert (curve is None) == (not usable)
    if curve:
        assert len(curve.points) == len(usable)
        assert all(
            curve.left - 1 <= x <= curve.right + 1 and curve.top - 1 <= y <= curve.bottom + 1 for x, y in curve.points
        )
        assert len(curve.y_ticks) >= 2
        assert len(curve.x_ticks) <= 7


@given(st.floats(1e-300, 1e300))
def test_nice_above(value: float) -> None:
    nice = nice_above(value)
    assert value * (1 - 1e-6) <= nice <= value * 2.51
    assert f"{nice:e}"[0] in "125"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": {"truth": np.zeros(SHAPE)}}, "reconstruction"),
        ({"images": {"truth": np.zeros(SHAPE), "result": np.zeros((1, 2, 3))}}, "one shape"),
        ({"images": {"result": np.zeros((2, 3))}}, r"\(z, y, x\)"),
        ({"spacing": (0.0, 1.0, 1.0)}, "spacing"),
    ],
)
def test_wrong_data(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        report(**changes)
