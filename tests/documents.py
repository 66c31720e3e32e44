"""What the README and the pages of the documentation print: commands, snippets and links."""

from __future__ import annotations

import glob
import re
import shlex
from pathlib import Path

import click
from cli_helpers import ROOT, Run, run_benchmarks, run_recon

from benchmarks.cli import main as benchmarks
from recon.cli import cli

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.name != "licences.md")
PROGRAMS: dict[str, click.Command] = {"recon": cli, "benchmarks": benchmarks}
RUNNERS = {"recon": run_recon, "benchmarks": run_benchmarks}


def read(path: Path) -> str:
    """The text of a page."""
    return path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    """A page's path in the repository."""
    return path.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language; "" for those without one, which hold commands on files of the reader's.

    Of tables that keep their lines, ```` ``` {.text .printed} ````, the language is the first name.
    """
    found = re.findall(r"^ *```(?: \{\.)?(\w*)(?: [^\n]*\})?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [block for named, block in found if named == language]


def printed(text: str) -> list[list[str]]:
    """The commands of blocks without a language, as words, without comments and files that are written in place.

    Variables are filled in, also those of earlier blocks; those that are given before a command are left out.
    """
    lines, variables = [], {}
    for block in blocks(text, ""):
        block = re.sub(r"^cat > .*?^END$", "", block.replace("\\\n", " "), flags=re.MULTILINE | re.DOTALL)
        variables |= dict(re.findall(r'^(\w+)="(.*)"$', block, re.MULTILINE))
        for variable, value in variables.items():
            block = block.replace(f"${variable}", value)
        commands = [line for line in block.splitlines() if not re.match(r'^\w+="', line)]
        lines += [re.sub(r"^(\w+=\S* +)+", "", line) for line in commands]
    return of_programs(lines)


def mentioned(text: str) -> list[list[str]]:
    """The commands of the text and its tables, which may leave out what the text is not about."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
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


def check_as_it_stands(words: list[str]) -> None:
    """A printed command is taken as it stands."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", read(ROOT / "Makefile"), re.MULTILINE)
    elif words[0] == "sh":
        assert (ROOT / words[1]).is_file()
    else:
        context, command, rest = leaf(words)
        command.make_context(words[-1], rest, parent=context.parent)


def check_options(words: list[str]) -> None:
    """A mentioned command exists and has the options that are mentioned."""
    if words[0] == "sh":
        assert (ROOT / words[1]).is_file()
        assert len(words) > 2 or "train-heads" in words[1], f"{words[1]} needs arguments"
        return
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", read(ROOT / "Makefile"), re.MULTILINE)
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


def run_script(text: str) -> list[Run]:
    """Run the commands of a block in this process, in the working folder, and write the files that it writes."""
    for target, content in re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", text, re.MULTILINE | re.DOTALL):
        Path(target).write_text(content, encoding="utf-8")
    text = re.sub(r"^cat > .*?^END$", "", text.replace("\\\n", " "), flags=re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [run_words(words) for words in lines if words]


def run_words(words: list[str]) -> Run:
    """Run one command of the suite, its patterns of files filled in as a shell does."""
    filled = [each for word in words[1:] for each in (sorted(glob.glob(word)) if "*" in word else [word])]
    return RUNNERS[words[0]](*filled)
