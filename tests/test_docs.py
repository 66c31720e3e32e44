"""What the pages of the documentation print works as printed.

Blocks without a language hold commands on files of the reader's: they are parsed. Blocks of ``sh`` are run, those of
``python`` too, one after the other on a page, in a folder with small scans. Blocks of ``text`` that begin with ``$``
show a command and what it prints.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_helpers import ROOT, body, kspace, write_ct, write_dicom, write_fastmri, write_mr
from documents import (
    DOCS,
    PAGES,
    blocks,
    check_as_it_stands,
    check_options,
    mentioned,
    name,
    printed,
    read,
    run_script,
    run_words,
)

from recon.methods import method_names

FAQ = DOCS / "faq.md"


def with_blocks(language: str) -> list[Path]:
    """The pages that have a block of a language."""
    return [page for page in PAGES if blocks(read(page), language)]


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the small scans that pages use."""
    monkeypatch.chdir(tmp_path)
    write_ct(Path("case.nii.gz"))
    write_dicom(Path("series"))
    return tmp_path


@pytest.fixture(scope="module")
def wrong_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not as they should be."""
    folder = tmp_path_factory.mktemp("faq")
    write_ct(folder / "case.nii.gz")
    write_mr(folder / "brain.nii.gz")
    write_fastmri(folder / "knee.h5")
    hole = body().astype(np.float32)
    write_ct(folder / "unit.nii.gz", hole / 2000 + 0.5)
    hole[3, 3, 1] = np.nan
    write_ct(folder / "nan.nii.gz", hole)
    np.save(folder / "kspace.npy", kspace(2))
    for uid in ("1.2.3.4567", "1.2.3.9999"):
        write_dicom(folder / "two", uid)
    (folder / "done").mkdir()
    return folder


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_printed_command_is_taken_as_it_stands(page: Path) -> None:
    for words in printed(read(page)):
        if words[:2] != ["recon", "import"] and words[0] != "dask":
            check_as_it_stands(words)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_mentioned_command_has_its_options(page: Path) -> None:
    for words in mentioned(read(page)):
        if len(words) > 1:
            check_options(words)


@pytest.mark.parametrize("page", with_blocks("sh"), ids=name)
def test_every_script_runs(page: Path, scans: Path) -> None:
    for block in blocks(read(page), "sh"):
        for run in run_script(block):
            assert run.code == 0, run.err


@pytest.mark.parametrize("page", with_blocks("python"), ids=name)
def test_every_snippet_of_python_runs(page: Path, scans: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks(read(page), "python"):
        exec(compile(block, name(page), "exec"), names)
    if "outcome" in names and names["outcome"].truth is not None:
        assert names["outcome"].metrics["psnr"] > 15
    if "gradient" in names:
        assert names["gradient"].shape == names["attenuation"].shape
        assert float(names["gradient"].abs().max()) > 0


@pytest.mark.parametrize("shown", [text for text in blocks(read(FAQ), "text") if text[0] == "$"])
def test_every_message_of_the_faq_is_what_the_command_says(
    shown: str, wrong_files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(wrong_files)
    command, message = shown.split("\n", 1)
    words = command.removeprefix("$ ").split()
    extra = [] if "-o" in words or "--output" in words else ["-o", str(tmp_path / "out")]
    run = run_words([*words, *extra])
    wanted = ".*".join(re.escape(part) for part in message.strip().split("…"))
    assert re.search(wanted, run.err), run.err


def test_the_geometries_are_geometries() -> None:
    from physics.ct.protocol import parse_protocol

    text = read(DOCS / "how-to" / "simulate.md"), read(DOCS / "how-to" / "train.md")
    printed_ones = [*blocks(text[0], "yaml"), *re.findall(r"<<'END'\n(type.*?)^END$", text[1], re.M | re.S)]
    assert [parse_protocol(yaml.safe_load(each)).views for each in printed_ones] == [40, 24]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    """The pages of cards and notebooks are made when the site is built; mkdocs checks their anchors too."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", read(page)):
        made = target.replace("../", "").replace("notebooks/", "").endswith(".md") and (
            "cards/" in target or (DOCS / "notebooks" / Path(target).with_suffix(".py").name).is_file()
        )
        assert made or (page.parent / target).exists(), f"{name(page)}: {target}"


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"^ +- ([\w/-]+\.md)$", read(ROOT / "mkdocs.yml"), re.MULTILINE))
    notebooks = {f"notebooks/{path.stem}.md" for path in (DOCS / "notebooks").glob("*.py")}
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert listed == pages | notebooks | {"cards/weights.md", "cards/starter.md"}


def test_the_pictures_of_the_conventions_are_up_to_date() -> None:
    for file, draw in runpy.run_path(str(DOCS / "draw_conventions.py"))["PICTURES"].items():
        assert draw() == read(DOCS / file), file


def test_no_page_asks_anything_of_the_network() -> None:
    settings = read(ROOT / "mkdocs.yml")
    assert "font: false" in settings
    for path in [*PAGES, *DOCS.rglob("*.css")]:
        assert not re.search(r"<(script|link)\b|!\[[^]]*\]\(http|@import|url\(", read(path)), path


def test_every_page_and_the_reader_of_the_first_page_know_what_it_is_not_for() -> None:
    for page in (DOCS / "index.md", DOCS / "explain" / "limits.md", ROOT / "README.md"):
        assert "not for diagnosis" in read(page)


def test_every_method_has_its_equation() -> None:
    text = (ROOT / "docs/explain/methods.md").read_text(encoding="utf-8")
    own = {name for modality in ("CT", "MR") for name in method_names(modality)}
    assert {name for name in own if f"`{name}`" not in text} == set()


def test_equations_stand_in_their_sentences_and_every_command_of_latex_is_known() -> None:
    from markdown import markdown

    with_mathml = runpy.run_path(str(DOCS / "site" / "mathematics.py"))["with_mathml"]
    html = markdown(with_mathml("The line integral\n$-\\ln(n / I_0)$ then has a deviation."))
    assert html.count("<p>") == 1, "an equation at the beginning of a line is no block"
    for page in PAGES:
        equations = re.findall(r"<math .*?</math>", with_mathml(read(page)), re.DOTALL)
        assert not [each for each in equations if "\\" in each], page
