"""The page of generators: every volume, the patient's sides, one file without requests; blind views in a browser."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import WITH_BROWSER, Browser, browsing
from PIL import Image
from toy_generators import blob

from benchmarks.generation.contact import Scale, planes, scale_for, sheet
from benchmarks.generation.figures import Block
from benchmarks.generation.page import Content, page, sheets_of
from benchmarks.generation.result import Embedding
from benchmarks.generation.scatter import COLOURS, SHAPES, scatter, svg
from benchmarks.generation.volumes import VolumeSet

SIZE = (16, 16, 16)
SCALE = Scale((2.0, 2.0, 2.0), 2.0)
COUNTS = {"real": 5, "HA-GAN <b>": 3, "WDM": 4}
ENTER, SPACE, TAB = "\ue007", " ", "\ue004"


def volume_sets() -> list[VolumeSet]:
    """Sets of different sizes, every volume another one."""
    sets = []
    for number, (label, count) in enumerate(COUNTS.items()):
        names = tuple(f"seed {seed}" for seed in range(count))
        sets.append(VolumeSet(label, names, names, lambda place, number=number: blob(SIZE, 10 * number + place)))
    return sets


def content() -> Content:
    sets = volume_sets()
    drawn = [[planes(image, SCALE) for image in each] for each in sets]
    embedding = Embedding({each.label: [[float(n), float(n * n)] for n in range(len(each))] for each in sets}, 0, 3.0)
    block = Block("Distances", ("n", "MMD ↓"), (("WDM", ("4", "0.1 [0, 1]")), ("MedSyn", ())))
    paper = {"title": "a title", "beside": "never ours", "rows": [{"method": "WDM", "fid": 0.02, "mmd": 0.5}]}
    return Content(
        "table3",
        "Blobs <made up>",
        ["A sentence."],
        [block],
        [("MedSyn", "no weights")],
        ["A note."],
        paper,
        sheets_of(sets, drawn),
        scatter(embedding),
        "A drawing.",
    )


class Parsed(HTMLParser):
    """What a page could load, and the texts of its table heads."""

    def __init__(self, text: str):
        super().__init__()
        self.sources: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]


def test_the_page_is_one_file_with_one_script_of_its_own():
    text = page(content())
    parsed = Parsed(text)
    assert parsed.scripts == 1
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)
    assert re.search(r"script-src 'sha256-[\w+/=]+'", text)
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


def test_no_volume_is_left_out_and_texts_are_escaped():
    text = page(content())
    assert len(Parsed(text).sources) == sum(COUNTS.values())
    assert len(set(Parsed(text).sources)) == sum(COUNTS.values()), "every picture is another one"
    assert "Blobs &lt;made up&gt;" in text
    assert "HA-GAN &lt;b&gt;" in text
    assert "<b>" not in text
    assert "MedSyn: no weights" in text
    assert "0.0200" in text
    assert "The paper's own figures" in text


def test_a_table_without_volumes_has_no_view_of_them():
    given = content()
    text = page(Content(given.kind, given.title, [], given.blocks, [], [], None))
    assert "<img" not in text
    assert 'id="controls"' not in text
    assert "own figures" not in text


def test_planes_lie_as_radiologists_look_at_them():
    """The bright corner at the patient's left, posterior and inferior comes to the bottom right of each plane."""
    image = torch.full((9, 9, 9), -1.0)
    image[:, 0, 0] = image[0, 0, :] = 1.0  # left: x = 0; posterior: y = 0; inferior: z = 0
    image[0, :, 0] = 1.0
    image[4, 0, 0] = image[0, 0, 4] = image[0, 4, 0] = 1.0
    shown = planes(image, Scale((1.0, 1.0, 1.0), 1.0))
    axial, coronal, sagittal = shown[:, :9], shown[:, 11:20], shown[:, 22:31]
    assert axial[8, 8] == 255
    assert axial[0, 0] == 0
    assert coronal[8, 8] == 255
    assert sagittal[8, 8] == 255


def test_voxels_that_are_no_cubes_are_drawn_in_square_pixels():
    assert planes(blob((8, 16, 20), 0), Scale((4.0, 1.0, 2.0), 1.0)).shape == (40, 16 + 2 + 16 + 2 + 40)


def test_many_volumes_are_drawn_smaller_and_none_is_left_out():
    assert scale_for((64, 64, 64), (4.0, 4.0, 4.0), 100).pixel == 4.0
    many = scale_for((256, 256, 256), (1.0, 1.0, 1.0), 7000)
    assert 7000 * 3 * (256 / many.pixel) ** 2 == pytest.approx(40e6)
    small = planes(blob((64, 64, 64), 0), Scale((1.0, 1.0, 1.0), 2.0))
    assert small.shape == (32, 3 * 32 + 4)


def test_a_sheet_holds_every_volume():
    found = [np.full((4, 6), 40 + number, np.uint8) for number in range(8)]
    made = sheet(found)
    assert made.shape == (2 * 4 + 2, 6 * 12 - 6)
    assert {40 + number for number in range(8)} <= set(made.flat)


def test_each_set_of_a_drawing_has_a_colour_and_a_shape_of_its_own():
    assert len(set(COLOURS)) == len(COLOURS) == len(set(SHAPES)) == len(SHAPES)
    points = {f"method {number} & co": [[number, 0.0], [0.0, number]] for number in range(8)}
    groups = scatter(Embedding(points, 0, 5.0))
    assert len({(group.colour, group.sign) for group in groups}) == 8
    assert all(len(group.paths) == 2 for group in groups)
    text = svg(Embedding(points, 0, 5.0))
    assert "method 3 &amp; co" in text
    everywhere = [float(n) for group in groups for path in group.paths for n in re.findall(r"M(-?[\d.]+)", path)]
    assert min(everywhere) >= 0
    assert max(everywhere) <= 640


# In a browser.


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page(content()), encoding="utf-8")
    return path


@pytest.fixture
def browser(session: Browser, file: Path) -> Browser:
    session.log("browser")
    session.requests()
    session.go(file.as_uri())
    session.wait("return document.documentElement.dataset.viewer === 'ready'", "the views did not start")
    return session


def shown(browser: Browser) -> list[str]:
    """The pictures that can be seen, in their order."""
    return list(
        browser.script(
            "return [...document.querySelectorAll('.volume img')].filter(i => i.offsetParent).map(i => i.src)"
        )
    )


def words(browser: Browser) -> str:
    """All that can be read or is read out in the part with the volumes."""
    return str(
        browser.script(
            "const part = document.querySelector('#volumes');"
            "const seen = [...part.querySelectorAll('img')].filter(i => i.offsetParent);"
            "return part.innerText + seen.map(i => i.alt).join()"
        )
    )


def choose_view(browser: Browser, view: str) -> None:
    browser.click(f"input[value={view}]")


def press(browser: Browser, key: str) -> None:
    strokes = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
    browser.command("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})


@WITH_BROWSER
def test_by_method_everything_is_shown_and_nothing_asked_for(browser: Browser, file: Path):
    assert len(shown(browser)) == sum(COUNTS.values())
    assert "WDM (4)" in words(browser)
    assert browser.requests() == [file.as_uri()]
    assert browser.log("browser") == []


@WITH_BROWSER
def test_blind_methods_have_letters_until_they_are_revealed(browser: Browser):
    before = shown(browser)
    choose_view(browser, "blind")
    hidden = words(browser)
    assert not any(label in hidden for label in ("WDM", "HA-GAN", "real", "seed 0"))
    assert len(shown(browser)) == 3 * min(COUNTS.values()), "the number of volumes does not tell a method"
    assert shown(browser) != before[: len(shown(browser))]
    assert not browser.script("return Boolean(document.querySelector('#figures').offsetParent)")
    browser.click(".sheet .reveal")
    assert "2 hidden" in words(browser)
    assert re.search(r"Method A: (WDM|HA-GAN <b>|real) \(\d\)", words(browser))
    browser.click("#all")
    assert all(label in words(browser) for label in ("WDM", "HA-GAN <b>", "real"))
    assert sorted(shown(browser)) == sorted(before), "revealed, none is left out"


@WITH_BROWSER
def test_mixed_volumes_are_revealed_one_by_one_from_the_keyboard(browser: Browser):
    choose_view(browser, "mixed")
    assert len(shown(browser)) == 3 * min(COUNTS.values())
    assert "WDM" not in words(browser)
    browser.script("document.querySelector('#mixed .reveal').focus()")
    for number, key in enumerate((ENTER, SPACE, ENTER), 1):
        press(browser, key)
        assert f"{9 - number} hidden" in words(browser), "the next button has the focus"
    assert len(re.findall(r"^(?:WDM|HA-GAN <b>|real), seed \d$", words(browser), re.MULTILINE)) == 3
    choose_view(browser, "named")
    assert len(shown(browser)) == sum(COUNTS.values())
    assert "WDM (4)" in words(browser)


@WITH_BROWSER
def test_the_order_follows_from_the_seed(browser: Browser):
    orders = []
    for view, seed in (("mixed", 0), ("mixed", 7), ("blind", 7), ("mixed", 0)):
        choose_view(browser, view)
        browser.script(
            "const seed = document.querySelector('#seed'); seed.value = arguments[0];"
            "seed.dispatchEvent(new Event('change'))",
            seed,
        )
        orders.append(shown(browser))
    assert orders[0] == orders[3]
    assert orders[0] != orders[1]


@WITH_BROWSER
def test_a_keyboard_reaches_the_views_and_pictures_are_as_they_were_drawn(browser: Browser):
    browser.script("document.querySelector('input[value=named]').focus()")
    browser.press("ArrowRight")
    assert "Method A" in words(browser)
    press(browser, TAB)
    assert browser.script("return document.activeElement.id") == "seed"
    source = base64.b64decode(shown(browser)[0].partition(",")[2])
    assert np.asarray(Image.open(io.BytesIO(source))).shape == (16, 3 * 16 + 4)
