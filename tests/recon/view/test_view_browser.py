"""The page of `recon view` in a browser: planes, window, overlay, and that nothing leaves the machine."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from browser import RIGHT, WITH_BROWSER, Browser, browsing
from cli_helpers import LPS, body, write_ct

from recon.view.server import ViewServer
from recon.view.volumes import find_volumes

pytestmark = WITH_BROWSER

WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")  # without a GPU
SHOWN = "return document.documentElement.dataset.shown === arguments[0] || document.documentElement.dataset.failed"
AXIAL = (-240, 150)
"""A place in the axial plane, bottom left, in pixels from the canvas' centre."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a folder that a run left."""
    folder = tmp_path_factory.mktemp("view") / "run"
    folder.mkdir()
    values, affine = body((256, 224, 24)), LPS @ np.diag([0.25, 0.25, 1, 1])  # fine voxels, which thin lines vanish on
    write_ct(folder / "case.nii.gz", values, affine)
    write_ct(folder / "recon.nii.gz", values // 2, affine)
    write_ct(folder / "std.nii.gz", np.abs(values) // 10, affine)
    (folder / "result.json").write_text(json.dumps({"input": str(folder / "case.nii.gz")}))
    server = ViewServer(find_volumes([folder]))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile"), WEBGL) as made:
        yield made


@pytest.fixture
def browser(session: Browser, address: str) -> Browser:
    """The browser with the page just opened."""
    session.log("browser")
    session.requests()
    session.go(address)
    session.wait(SHOWN, "no volume was shown", "0")
    assert session.script("return document.documentElement.dataset.failed") is None
    return session


def is_crosshair(picture: np.ndarray) -> np.ndarray:
    """Where a picture is yellow."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return np.asarray((red > 150) & (green > 100) & (blue < 0.6 * red))


def text(browser: Browser, name: str) -> str:
    return str(browser.script("return document.getElementById(arguments[0]).textContent", name))


def test_it_opens_without_an_error_and_asks_no_other_machine(browser: Browser, address: str) -> None:
    browser.choose("#overlay", "std")
    browser.wait(SHOWN, "the overlay was not shown", "0,2")
    asked = browser.requests()
    assert {url.removeprefix(address) for url in asked} >= {"", "page.js", "niivue.umd.js", "volume/0.nii.gz"}
    assert [url for url in asked if not url.startswith(address)] == []
    assert [entry["message"] for entry in browser.log("browser") if entry["level"] == "SEVERE"] == []


def test_a_click_in_one_plane_moves_the_others(browser: Browser) -> None:
    before = browser.picture("#canvas")
    browser.drag("#canvas", AXIAL, AXIAL)
    place = re.fullmatch(r"([RL]) (\S+)  ([AP]) (\S+)  ([SI]) (\S+) mm · case (\S+)", text(browser, "place"))
    assert place, text(browser, "place")
    assert place[7] == "20", "the value of the volume there"
    after = browser.picture("#canvas")
    rows = len(before) // 2 - 60
    assert is_crosshair(after[:rows]).mean() > 0.002, "on fine voxels too"
    assert is_crosshair(after[rows:, : after.shape[1] // 2]).mean() > 0.002
    assert (before[:rows] != after[:rows]).any(axis=2).mean() > 0.005, "the coronal and sagittal planes, above"
    browser.drag("#canvas", AXIAL, (AXIAL[0] + 60, AXIAL[1] - 90))
    moved = re.match(r"([RL] \S+)  ([AP] \S+)  ([SI] \S+) mm", text(browser, "place"))
    assert moved
    assert moved[1] != f"{place[1]} {place[2]}"
    assert moved[2] != f"{place[3]} {place[4]}"
    assert moved[3] == f"{place[5]} {place[6]}", "the axial plane stays"


def test_a_drag_with_the_right_button_sets_the_window_to_what_it_covers(browser: Browser) -> None:
    assert text(browser, "window") == "window −160 to 240"
    before = browser.picture("#canvas")
    browser.drag("#canvas", (-400, 160), (-160, 80), RIGHT)  # water and the insert
    browser.wait(
        "return document.getElementById('window').textContent !== arguments[0]",
        "the window stayed",
        "window −160 to 240",
    )
    assert text(browser, "window") == "window 20 to 700"
    assert (browser.picture("#canvas") != before).any()


def test_the_deviation_is_laid_over_in_colours(browser: Browser) -> None:
    def coloured() -> float:
        picture = browser.picture("#canvas")
        return float((picture.max(axis=2) - picture.min(axis=2) > 60).mean())

    before = coloured()
    browser.choose("#overlay", "std")
    browser.wait(SHOWN, "the overlay was not shown", "0,2")
    assert coloured() > before + 0.05
    browser.choose("#overlay", "none")
    browser.wait(SHOWN, "the overlay stayed", "0")
    assert coloured() == pytest.approx(before, abs=0.01)


def test_one_key_shows_the_next_image(browser: Browser) -> None:
    browser.press("f")
    browser.wait(SHOWN, "the next image was not shown", "1")
    assert browser.script("return document.getElementById('image').selectedOptions[0].text") == "recon"


def test_it_fits_a_phone(session: Browser, address: str) -> None:
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    session.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
    try:
        session.go(address)
        session.wait(SHOWN, "no volume was shown", "0")
        assert session.script("return document.documentElement.scrollWidth") <= 390
        assert session.script("return document.getElementById('canvas').clientHeight") >= 300
    finally:
        session.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})
