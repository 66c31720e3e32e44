"""The page of a reader study in a browser: simulated readers rank by keyboard, and their answers are read back."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import WITH_BROWSER, Browser, browsing
from cli_helpers import run_benchmarks
from reader_study import make_arguments, told_ranks, write_volumes

pytestmark = WITH_BROWSER

TAB, ENTER, SHIFT = "\ue004", "\ue007", "\ue008"
READERS = ("R1", "R2")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three cases: one page for each reader; that of the second has a file for each case."""
    folder = tmp_path_factory.mktemp("readers")
    folders = write_volumes(folder / "volumes")
    for reader, layout in zip(READERS, ("one", "case"), strict=True):
        more = ("--cases", 3, "--reader", reader, "--layout", layout, "--out", folder / reader)
        run = run_benchmarks(*make_arguments(folders, *more))
        assert run.code == 0, run.err
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as session:
        yield session


def page_of(study: Path, reader: str) -> Path:
    one = study / reader / f"{reader}.html"
    return one if one.exists() else study / reader / reader / "index.html"


def screens_of(study: Path, reader: str) -> list[dict[str, Any]]:
    key = json.loads((study / reader / "key.json").read_text())
    return list(key["readers"][reader]["trials"])


def load(browser: Browser, page: Path, scheme: str = "light") -> None:
    browser.choose_scheme(scheme)
    browser.go(page.as_uri())
    browser.wait("return document.documentElement.dataset.page === 'ready'", "the page did not start")


def begin(browser: Browser) -> None:
    browser.script("document.documentElement.dataset.study = ''; document.getElementById('begin').click()")
    browser.wait("return document.documentElement.dataset.study === 'ready'", "the images did not come")


def forget(browser: Browser) -> None:
    browser.script("localStorage.clear()")


def type_keys(browser: Browser, *keys: str) -> None:
    strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
    browser.command("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})


def focus(browser: Browser, selector: str) -> None:
    browser.script("document.querySelector(arguments[0]).focus()", selector)


def rank_by_keys(browser: Browser, ranks: list[int], question: str) -> None:
    """A digit on each image; from one image to the next, Tab passes its two lists."""
    browser.script(f"document.querySelector('input[value={question}]').checked = true")
    focus(browser, ".tile")
    type_keys(browser, *[key for rank in ranks for key in (str(rank), TAB, TAB, TAB)])


def answer(browser: Browser, screen: dict[str, Any]) -> None:
    """The ranks that the reader was told, for what is shown; then on to the next case by Enter."""
    for question in ("realism", "quality"):
        told = told_ranks(screen, question)
        rank_by_keys(browser, [told[method] for method in screen["order"]], question)
    finish(browser)


def finish(browser: Browser) -> None:
    focus(browser, "#next")
    type_keys(browser, ENTER)
    browser.wait(
        "return document.documentElement.dataset.study === 'ready' || !document.getElementById('end').hidden",
        "the next case did not come",
    )


def export(browser: Browser, folder: Path, reader: str) -> Path:
    """The answers as the browser saves them."""
    folder.mkdir(exist_ok=True)
    save = {"behavior": "allow", "downloadPath": str(folder)}
    browser.command("POST", "/goog/cdp/execute", {"cmd": "Browser.setDownloadBehavior", "params": save})
    path = folder / f"answers-{reader}.json"
    browser.script("[...document.querySelectorAll('.export')].find(button => button.checkVisibility()).click()")
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.05)
    return path


def take_back(browser: Browser, path: Path) -> str:
    """Import a file; returns what the page says of it."""
    element = browser.element("#import")
    browser.command("POST", f"/element/{element}/value", {"text": str(path)})
    browser.wait(
        "return document.getElementById('file-error').textContent || document.getElementById('start').hidden",
        "the file was not read",
    )
    return str(browser.script("return document.getElementById('file-error').textContent"))


def test_simulated_readers_give_the_ranks_that_they_were_told(browser: Browser, study: Path, tmp_path: Path) -> None:
    """The first is interrupted by a reload in the middle of a case, the second goes on with an exported file."""
    files = []
    for reader in READERS:
        page, screens = page_of(study, reader), screens_of(study, reader)
        assert screens[0]["kind"] == "practice"
        load(browser, page)
        forget(browser)
        load(browser, page)
        begin(browser)
        for screen in screens[:2]:
            answer(browser, screen)
        rank_by_keys(browser, [2, 1], "realism")
        if reader == "R2":
            half = export(browser, tmp_path / "half", reader)
            assert not json.loads(half.read_text())["finished"]
            forget(browser)
        load(browser, page)
        begin(browser) if reader == "R1" else take_back(browser, half)
        browser.wait("return document.documentElement.dataset.study === 'ready'", "the images did not come")
        assert browser.script("return document.getElementById('case-heading').textContent") == "Case 2 of 5"
        kept = browser.script(
            "return [...document.querySelectorAll('select[data-question=realism]')].map(s => s.value)"
        )
        assert kept == ["2", "1", "", ""]
        for screen in screens[2:]:
            answer(browser, screen)
        assert browser.script("return document.getElementById('end').checkVisibility()")
        files.append(export(browser, tmp_path, reader))
    keys = [word for reader in READERS for word in ("--key", study / reader / "key.json")]
    run = run_benchmarks("readers", "read", *files, *keys, "--format", "json")
    assert run.code == 0, run.err
    found = json.loads(run.out)
    for question in found["questions"]:
        assert question["blocks"] == 6
        means = {each["method"]: each["mean"] for each in question["methods"]}
        told = [
            told_ranks(screen, question["question"])
            for reader in READERS
            for screen in screens_of(study, reader)
            if screen["kind"] == "case"
        ]
        assert means == pytest.approx({method: np.mean([ranks[method] for ranks in told]) for method in means})
    for reader in found["readers"]:
        assert (reader["done"], reader["control"], reader["repeats"]) == (5, True, 1)
        assert reader["spearman"] == {"realism": pytest.approx(1), "quality": pytest.approx(1)}
    assert {"reader": "R1", "order": ["00", "01", "02", "03", "04", "05"]}.items() <= json.loads(
        files[0].read_text()
    ).items()


def test_unfinished_and_tied_rankings_are_asked_about(browser: Browser, study: Path, tmp_path: Path) -> None:
    load(browser, page_of(study, "R1"))
    forget(browser)
    load(browser, page_of(study, "R1"))
    begin(browser)
    focus(browser, "#next")
    type_keys(browser, ENTER)
    missing = "return document.getElementById('missing').textContent"
    assert browser.script(missing) == "Without a rank so far: Realism: A, B, C, D; Image quality: A, B, C, D."
    rank_by_keys(browser, [1, 2, 3, 4], "realism")
    status = "return document.getElementById('status').textContent"
    assert browser.script(status) == "Realism: image D has rank 4 of 4."
    rank_by_keys(browser, [1, 2, 2, 4], "quality")
    focus(browser, "#next")
    type_keys(browser, ENTER)
    assert (
        browser.script("return document.getElementById('ties-list').textContent")
        == "Image quality: B and C share rank 2."
    )
    type_keys(browser, TAB, ENTER)  # from keeping to changing
    assert not browser.script("return document.getElementById('ties').open")
    assert browser.script("return document.getElementById('case-heading').textContent") == "Practice case"
    focus(browser, "#next")
    type_keys(browser, ENTER)
    type_keys(browser, ENTER)
    browser.wait("return document.getElementById('case-heading').textContent === 'Case 1 of 5'", "ties were not kept")
    written = json.loads(export(browser, tmp_path, "R1").read_text())
    assert written["trials"][0]["ties"]
    assert written["trials"][0]["milliseconds"] > 0
    (tmp_path / "other.json").write_text(json.dumps({**written, "page_sha256": "0"}))
    damaged = json.loads(json.dumps(written))
    damaged["trials"][0]["ranks"]["realism"] = [4, 3, 2, 1]
    (tmp_path / "damaged.json").write_text(json.dumps(damaged))
    load(browser, page_of(study, "R1"))
    assert take_back(browser, tmp_path / "other.json") == "This file belongs to another page."
    browser.script("document.getElementById('file-error').textContent = ''")
    assert take_back(browser, tmp_path / "damaged.json") == "This file is damaged, or was changed."


def test_letters_are_dragged_to_ranks_and_moved_by_arrows(browser: Browser, study: Path) -> None:
    load(browser, page_of(study, "R1"))
    forget(browser)
    load(browser, page_of(study, "R1"))
    begin(browser)
    ranks = "return rankings.quality.ranks"
    for image, rank in ((2, 1), (0, 3)):
        drag(browser, image, rank)
    assert browser.script(ranks) == [3, None, 1, None]
    browser.script("document.querySelector('input[value=quality]').checked = true")
    browser.script("rankings.quality.load([3, 2, 1, 4])")
    focus(browser, ".tile")
    type_keys(browser, "\ue012")  # the arrow left: A takes the place of B
    assert browser.script(ranks) == [2, 3, 1, 4]


def drag(browser: Browser, image: int, rank: int) -> None:
    """With the mouse from a letter's place to that of a rank."""
    x, y, to_x, to_y = browser.script(
        "const board = document.querySelector('.board[data-question=quality]');"
        "board.scrollIntoView({block: 'center'});"
        "const middle = (element) => {"
        "  const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };"
        "return [...middle(rankings.quality.chips[arguments[0]]),"
        '  ...middle(board.querySelector(`[data-rank="${arguments[1]}"]`))].map(Math.round)',
        image,
        rank,
    )
    moves: list[dict[str, Any]] = [
        {"type": "pointerMove", "x": x, "y": y, "duration": 0},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerMove", "x": to_x, "y": to_y, "duration": 50},
        {"type": "pointerUp", "button": 0},
    ]
    browser.command("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": moves}]})


def test_all_images_have_one_view(browser: Browser, study: Path) -> None:
    load(browser, page_of(study, "R1"))
    forget(browser)
    load(browser, page_of(study, "R1"))
    begin(browser)
    sums = (
        "return [...document.querySelectorAll('.tile canvas')].map(canvas => {"
        "  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        "  return data.reduce((sum, value, i) => (sum * 31 + value) % 1000003, 0); })"
    )
    seen = [browser.script(sums)]
    for change in ("\ue00f", "c", "s", "+"):  # Page Down, coronal, sagittal, larger
        focus(browser, ".tile")
        type_keys(browser, change)
        seen.append(browser.script(sums))
    browser.script("document.querySelector('button[data-centre=\"-600\"]').click()")
    seen.append(browser.script(sums))
    for before, after in itertools.pairwise(seen):
        assert all(one != other for one, other in zip(before, after, strict=True))
    assert browser.script("return pictures.view.plane") == "sagittal"
    assert browser.script("return document.querySelector('button[data-centre=\"-600\"]').ariaPressed") == "true"


def test_nothing_leaves_the_page_and_nothing_unblinds(browser: Browser, study: Path) -> None:
    for reader in READERS:
        load(browser, page_of(study, reader))
        browser.requests()
        begin(browser)
        own = (study / reader).as_uri()
        assert all(address.startswith(own) for address in browser.requests())
        assert browser.command("POST", "/execute/async", {"script": FETCH, "args": []}) == "blocked"
        for path in page_of(study, reader).parent.rglob("*"):
            if path.suffix in (".html", ".js"):
                words = re.sub(r"[A-Za-z0-9+/]{60,}", "", path.read_text())  # without the packed volumes
                assert not re.search(r"hagan|wdm|\.nii|case-\d", words)
        trials = browser.script("return study.trials")
        assert {key for trial in trials for key in trial} == {"id", "practice", "data_sha256"}


FETCH = """
const done = arguments[0];
document.addEventListener("securitypolicyviolation", () => done("blocked"));
fetch("http://127.0.0.1:9/").catch(() => setTimeout(() => done("failed"), 500));
"""


def test_everything_has_a_name_and_contrast_and_fits_a_phone(browser: Browser, study: Path) -> None:
    for scheme in ("light", "dark"):
        load(browser, page_of(study, "R1"), scheme)
        begin(browser)
        nameless = browser.script(
            "return [...document.querySelectorAll('button, select, input, textarea, [role=group], canvas, progress')]"
            ".filter(e => !(e.ariaLabel || e.labels?.length || e.textContent.trim()))"
            ".map(e => e.outerHTML)"
        )
        assert nameless == []
        for selector in ("h2", ".given label", ".rank", ".chip", ".name", "#next", "#controls label", ".small"):
            ink, ground = browser.script(COLOURS, selector)
            assert contrast(ink, ground) >= 4.5, (scheme, selector)
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
    try:
        load(browser, page_of(study, "R1"))
        begin(browser)
        assert browser.script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})


COLOURS = """
let element = document.querySelector(`#case ${arguments[0]}`);
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
