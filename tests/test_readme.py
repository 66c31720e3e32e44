"""What the README prints works as printed: commands with their options, Python, files and links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from cli_helpers import ROOT, run_recon, write_ct

from benchmarks.cli import main as benchmarks
from recon.cli import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = {"recon": cli, "benchmarks": benchmarks}


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; "" for those without one, which hold commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def printed() -> list[list[str]]:
    """The commands of fenced blocks as words, without comments and files that are written in place.

    Variables are filled in, also those of earlier blocks.
    """
    lines, variables = [], {}
    for block in blocks(""):
        text = re.sub(r"^cat > .*?^END$", "", block.replace("\\\n", " "), flags=re.MULTILINE | re.DOTALL)
        variables |= dict(re.findall(r'^(\w+)="(.*)"$', text, re.MULTILINE))
        for name, value in variables.items():
            text = text.replace(f"${name}", value)
        lines += [line for line in text.splitlines() if not re.match(r"^\w+=", line)]
    return of_programs(lines)


def mentioned() -> list[list[str]]:
    """The commands of the text and its tables, which may leave out what the text is not about."""
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    return of_programs([" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)])


def of_programs(lines: list[str]) -> list[list[str]]:
    """The words of lines that call a program of the suite, a target or a script."""
    words = [shlex.split(line, comments=True) for line in lines]
    return [each for each in words if each and each[0] in (*PROGRAMS, "make", "sh")]


def leaf(words: list[str]) -> tuple[click.Context, click.Command, list[str]]:
    """The command that words call, with its context's parent and its own arguments."""
    command: click.Command = PROGRAMS[words[0]]
    context, rest = click.Context(command, info_name=words[0]), words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"{' '.join(words)}: there is no command {rest[0]}"
        command, rest = found, rest[1:]
        context = click.Context(command, parent=context, info_name=words[0])
    return context, command, rest


@pytest.mark.parametrize("words", printed(), ids=" ".join)
def test_every_printed_command_is_taken_as_it_stands(words: list[str]) -> None:
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    elif words[0] == "sh":
        assert (ROOT / words[1]).is_file()
    else:
        context, command, rest = leaf(words)
        command.make_context(words[-1], rest, parent=context.parent)


@pytest.mark.parametrize("words", [words for words in mentioned() if len(words) > 1], ids=" ".join)
def test_every_mentioned_command_has_its_options(words: list[str]) -> None:
    if words[0] == "sh":
        assert (ROOT / words[1]).is_file()
        assert len(words) > 2 or "train-heads" in words[1], f"{words[1]} needs arguments"
        return
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return
    words = [word.replace("NETWORK", "unet") for word in words if "…" not in word]
    if words[1] == "train" and words[-1] == "--settings":  # lists the settings of a network, and takes no command of it
        assert run_recon(*words[1:]).code == 0
        return
    context, command, rest = leaf(words)
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in rest if word.startswith("-")} <= {*known, "--help"}
    try:
        command.make_context(words[-1], rest, parent=context.parent)
    except (click.MissingParameter, click.BadOptionUsage, click.exceptions.Exit):  # left out, without value, or --help
        return
    except click.BadParameter as error:  # a file of the reader's
        if "does not exist" not in error.format_message():
            raise


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_every_snippet_of_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_ct(Path("case.nii.gz"))
    names: dict[str, Any] = {}
    exec(compile(blocks("python")[number], "README.md", "exec"), names)
    if "recon.save" in blocks("python")[number]:
        assert Path("out", "result.json").is_file()
        assert names["outcome"].metrics["psnr"] > 15
    else:
        assert names["gradient"].shape == names["attenuation"].shape
        assert not torch.equal(names["gradient"], torch.zeros_like(names["gradient"]))


def test_the_geometry_is_one(tmp_path: Path) -> None:
    from physics.ct.protocol import load_protocol

    printed = [*blocks("yaml"), *re.findall(r"<<'END'\n(.*?)^END$", README, re.MULTILINE | re.DOTALL)]
    assert len(printed) == 2
    for text in printed:
        (tmp_path / "scanner.yaml").write_text(text, encoding="utf-8")
        assert load_protocol(str(tmp_path / "scanner.yaml")).views in (24, 40)


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target
