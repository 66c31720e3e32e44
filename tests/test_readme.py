"""What the README prints works as printed: commands with their options, Python, files and links."""

from __future__ import annotations

import re

import pytest
from cli_helpers import ROOT
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
