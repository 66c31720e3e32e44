"""What the README prints works as printed: commands with their options, Python, files and links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import ROOT, write_ct
from documents import blocks, check_as_it_stands, check_options, mentioned, printed, read

README = read(ROOT / "README.md")


@pytest.mark.parametrize("words", printed(README), ids=" ".join)
def test_every_printed_command_is_taken_as_it_stands(words: list[str]) -> None:
    check_as_it_stands(words)


@pytest.mark.parametrize("words", [words for words in mentioned(README) if len(words) > 1], ids=" ".join)
def test_every_mentioned_command_has_its_options(words: list[str]) -> None:
    check_options(words)


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_commands_that_install_and_test_are_there() -> None:
    """Whoever checks a change runs what the README says."""
    assert "make demo" in blocks(README, "")[0]
    assert "make test" in blocks(README, "")[0]


def test_the_snippet_of_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_ct(Path("case.nii.gz"))
    (snippet,) = blocks(README, "python")
    names: dict[str, Any] = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert Path("out", "result.json").is_file()
    assert names["outcome"].metrics["psnr"] > 15


def test_it_is_a_page_that_says_first_what_it_is_not_for() -> None:
    lines = README.splitlines()
    assert len(lines) < 100
    assert "not for diagnosis" in "".join(lines[:10])
    assert re.search(r"under\s+the\s+inverse\s+crime\)", README)
