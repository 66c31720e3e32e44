"""The report in a browser: headless Chromium, driven through chromedriver by the W3C WebDriver protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import WITH_BROWSER, Browser, browsing

from recon.report import ReportData, render

pytestmark = WITH_BROWSER


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as session:
        yield session


def open_page(browser: Browser, page: Path, scheme: str) -> None:
    """Load a report in the light or dark colour scheme and wait for its viewer."""
    browser.choose_scheme(scheme)
    browser.go(page.as_uri())
    browser.wait("return document.documentElement.dataset.viewer === 'ready'", "the viewer did not start")


def canvas(browser: Browser, plane: str, column: int) -> np.ndarray:
    """The pixels of a picture, (rows, columns, 4) uint8."""
    width, height, pixels = browser.script(
        "const canvas = document.querySelector("
        "  `figure[data-plane=${arguments[0]}][data-column='${arguments[1]}'] canvas`);"
        "const image = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "return [canvas.width, canvas.height, Array.from(image.data)]",
        plane,
        column,
    )
    return np.array(pixels, np.uint8).reshape(height, width, 4)


Z, Y, X = 12, 20, 24


@pytest.fixture(scope="module")
def volumes() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = generator.uniform(-1000, 1000, (Z, Y, X)).astype(np.float32)
    noise = generator.normal(0, 60, (2, Z, Y, X)).astype(np.float32)
    return {"truth": truth, "baseline": truth + 2 * noise[0], "result": truth + noise[1], "std": np.abs(noise[0])}


@pytest.fixture(scope="module")
def page(volumes: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = ReportData(
        title="Drawn numbers",
        case={"File": "none"},
        protocol=["Random numbers."],
        notices=["not a patient"],
        modality="CT",
        images=volumes,
        labels={"baseline": "FBP", "result": "TV"},
        spacing=(3.0, 1.0, 1.0),
        metrics={"FBP": {"psnr": 20.0}, "TV": {"psnr": 26.0}},
        data_picture=np.ones((4, 30), np.float32),
        mask=None,
        trace=[(1, 0.5), (2, 0.1)],
        provenance={"Seed": "0"},
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(data), encoding="utf-8")
    return path


def grey(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.clip(255 * (values - (centre - width / 2)) / width, 0, 255)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fetches_nothing(browser: Browser, page: Path, scheme: str) -> None:
    open_page(browser, page, scheme)
    assert browser.script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert not re.search(r"https?://|//\w+\.\w+/|@import|url\(", page.read_text(encoding="utf-8"))
    blocked = browser.command("POST", "/execute/async", {"script": FETCH, "args": []})
    assert blocked == "blocked"


FETCH = """
const done = arguments[0];
document.addEventListener("securitypolicyviolation", () => done("blocked"));
fetch("http://127.0.0.1:9/").catch(() => setTimeout(() => done("failed"), 500));
"""


def test_colour_schemes_differ_and_are_readable(browser: Browser, page: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        open_page(browser, page, scheme)
        for selector in ("h1", ".small", "td strong", ".kind", ".notices p", 'button[aria-pressed="true"]'):
            ink, ground = browser.script(COLOURS, selector)
            assert contrast(ink, ground) >= 4.5, (scheme, selector)
        grounds.append(ground)
    assert grounds[0] != grounds[1]


COLOURS = """
let element = document.querySelector(arguments[0]);
const ink = getComputedStyle(element).color;
while (getComputedStyle(element).backgroundColor === "rgba(0, 0, 0, 0)") element = element.parentElement;
return [ink, getComputedStyle(element).backgroundColor];
"""


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two CSS colours (WCAG 2.1)."""
    lights = sorted(luminance(colour) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(c) for c in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_first_pictures_are_the_middle_planes(browser: Browser, page: Path, volumes: dict[str, np.ndarray]) -> None:
    """The browser unpacks the very numbers: pictures agree with the volume within the 2 HU step."""
    open_page(browser, page, "light")
    for column, key in enumerate(("truth", "baseline", "result")):
        for plane, axis, middle in (("axial", 0, Z // 2), ("coronal", 1, Y // 2), ("sagittal", 2, X // 2)):
            expected = grey(np.take(volumes[key], middle, axis)[::-1, ::-1], 40, 400)
            drawn = canvas(browser, plane, column)
            np.testing.assert_allclose(drawn[..., 0], expected, atol=0.5 + 255 / 400 * 1.01)
            assert (drawn[..., 0] == drawn[..., 2]).all()


def test_error_map_is_blue_below_and_orange_above(browser: Browser, page: Path, volumes: dict[str, np.ndarray]) -> None:
    open_page(browser, page, "light")
    error = (volumes["result"] - volumes["truth"])[Z // 2, ::-1, ::-1]
    drawn = canvas(browser, "axial", 4).astype(int)
    assert (drawn[error > 20][:, 0] > drawn[error > 20][:, 2]).all()
    assert (drawn[error < -20][:, 0] < drawn[error < -20][:, 2]).all()
    before = drawn.sum()
    browser.script(
        "const s = document.getElementById('error-scale'); s.selectedIndex = 0;s.dispatchEvent(new Event('change'))"
    )
    assert canvas(browser, "axial", 4).sum() > before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_slider_moves_by_mouse_and_keys(
    browser: Browser, page: Path, volumes: dict[str, np.ndarray], scheme: str
) -> None:
    open_page(browser, page, scheme)

    def shows(index: int) -> bool:
        expected = grey(volumes["truth"][index, ::-1, ::-1], 40, 400)
        difference = np.abs(canvas(browser, "axial", 0)[..., 0] - expected).max()
        text = browser.script("return document.getElementById('slice').getAttribute('aria-valuetext')")
        return bool(difference < 2) and text == f"slice {index + 1} of {Z}"

    still = canvas(browser, "coronal", 0)
    assert shows(Z // 2)
    browser.click("#slice", x=60)
    moved = browser.script("return Number(document.getElementById('slice').value)")
    assert moved > Z // 2
    assert shows(moved)
    for key, index in (("Home", 0), ("ArrowRight", 1), ("PageUp", None), ("End", Z - 1), ("ArrowLeft", Z - 2)):
        browser.press(key)
        assert shows(index) if index is not None else not shows(1)
    assert (canvas(browser, "coronal", 0) == still).all()


def test_window_presets_and_numbers(browser: Browser, page: Path, volumes: dict[str, np.ndarray]) -> None:
    open_page(browser, page, "light")
    middle = volumes["result"][Z // 2, ::-1, ::-1]
    pressed: Callable[[], list[str]] = lambda: browser.script(  # noqa: E731
        "return [...document.querySelectorAll('button[aria-pressed=true]')].map(b => b.textContent)"
    )
    for button, name, centre, width in ((2, "Lung", -600, 1500), (3, "Bone", 480, 2500), (4, "Full", 0, 2000)):
        browser.click(f".buttons button:nth-child({button})")
        np.testing.assert_allclose(canvas(browser, "axial", 2)[..., 0], grey(middle, centre, width), atol=1)
        assert pressed() == [name]
    browser.script("const c = document.getElementById('centre'); c.value = 100; c.dispatchEvent(new Event('input'))")
    np.testing.assert_allclose(canvas(browser, "axial", 2)[..., 0], grey(middle, 100, 2000), atol=1)
    assert pressed() == []


def test_one_key_shows_the_truth_in_place_of_the_methods_and_back(browser: Browser, page: Path) -> None:
    open_page(browser, page, "light")
    truth, method, error = (canvas(browser, "axial", column) for column in (0, 2, 4))
    caption = "return document.querySelector('figure[data-plane=axial][data-column=\"2\"] figcaption').textContent"
    assert (truth != method).any()
    browser.press("f")
    assert (canvas(browser, "axial", 2) == truth).all()
    assert (canvas(browser, "axial", 4) == error).all()
    assert browser.script(caption) == "Truth (F: back)"
    browser.press("Home")
    browser.click("#flip")
    assert browser.script(caption) == "TV"
    browser.press("f")
    browser.press("f")
    assert (canvas(browser, "axial", 2) == method).all()


def test_a_page_with_fewer_grey_levels_draws_them(
    browser: Browser, volumes: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recon.report.embedding.PACKED_LIMIT", 6000)
    known = {"title": "", "case": {}, "protocol": [], "notices": [], "modality": "CT", "metrics": {}, "trace": []}
    data = ReportData(
        **known, images=volumes, labels={}, spacing=(3.0, 1.0, 1.0), data_picture=None, mask=None, provenance={}
    )
    (tmp_path / "coarse.html").write_text(render(data), encoding="utf-8")
    open_page(browser, tmp_path / "coarse.html", "light")
    expected = grey(volumes["result"][:, Y // 2][::-1, ::-1], 40, 400)
    drawn = canvas(browser, "coronal", 2)[..., 0]
    np.testing.assert_allclose(drawn, expected, atol=0.5 + 255 / 400 * 13)
    assert (drawn != np.rint(expected)).any()


def test_pictures_keep_the_aspect_ratio_in_mm(browser: Browser, page: Path) -> None:
    open_page(browser, page, "light")
    boxes = browser.script(
        "return [...document.querySelectorAll('figure[data-column=\"0\"] canvas')]"
        ".map(canvas => [canvas.getBoundingClientRect().width, canvas.getBoundingClientRect().height])"
    )
    ratios = [width / height for width, height in boxes]
    np.testing.assert_allclose(ratios, [X / Y, X / (3 * Z), Y / (3 * Z)], rtol=0.02)
    assert boxes[1][1] == pytest.approx(boxes[2][1], rel=0.02)  # coronal and sagittal are to one scale


def test_page_fits_a_phone(browser: Browser, page: Path) -> None:
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
    try:
        open_page(browser, page, "light")
        assert browser.script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})
