"""What the command line tells: help, methods, info; and that help costs nothing."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from cli_helpers import ROOT, kspace, run_recon, write_ct, write_dicom, write_fastmri, write_mr

from benchmarks.cli import main as benchmarks
from recon.cli import cli
from recon.cli.flags import FlaggedCommand
from recon.methods import get_method, method_names
from recon.options import described

BARE = re.compile(r"(of|by|for|from|in|into|on|to|with|without|at|after|before|under|over|as|that|which|around)\b")
"""How a text begins that only makes sense after the name before it."""

COMMANDS = {("svct",): 8, ("mri",): 8, ("simulate", "svct"): 7, ("simulate", "mri"): 7}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['recon', '--help']\n"
        "heavy = {'torch', 'numpy', 'scipy', 'nibabel', 'pydantic', 'sigpy', 'rich', 'h5py'}\n"
        "from recon.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_groups_units_and_defaults(command: tuple[str, ...]) -> None:
    text = " ".join(run_recon(*command, "--help").out.split())
    groups = ("Input:", "Output:", "Noise:" if command == ("simulate", "svct") else "Sampling:")
    for words in groups if "mri" in command else ("Input:", "Geometry:", "Noise:", "Output:"):
        assert words in text
    assert "[default: 0" in text  # --seed
    for words in {"svct": ("mm", "degrees", "photons", "HU"), "mri": ("columns", "fraction")}[command[-1]]:
        assert words in text


def commands_of(group: click.Command) -> list[click.Command]:
    """All commands below a group."""
    context = click.Context(group)
    if not isinstance(group, click.Group):
        return [group]
    found = [group.get_command(context, name) for name in group.list_commands(context)]
    return [each for command in found if command is not None for each in commands_of(command)]


@pytest.mark.parametrize("program", [cli, benchmarks], ids=["recon", "benchmarks"])
def test_every_option_of_every_command_is_a_sentence_of_its_own(program: click.Group) -> None:
    """Neither nothing nor a fragment such as "Of a folder", which only makes sense after the option's name."""
    for command in commands_of(program):
        assert command.help, command.name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name != "help":
                name = f"{command.name} {parameter.opts[0]}: {parameter.help}"
                assert parameter.help, name
                assert not BARE.match(parameter.help.lower()), name
                assert parameter.help.split("  [")[0].endswith("."), name


def test_no_option_of_a_method_is_a_fragment() -> None:
    for modality in ("CT", "MR"):
        for name in method_names(modality):
            for option in described(get_method(modality, name).options):
                assert not BARE.match(option.description), f"{name} {option.key}: {option.description}"


def test_groups_without_a_command_show_their_help() -> None:
    for arguments in ((), ("simulate",)):
        result = run_recon(*arguments)
        assert result.code == 0
        assert result.out.startswith("Usage: recon")
        assert result.err == ""


def test_completion_offers_the_methods() -> None:
    from click.testing import CliRunner

    environment = {"_RECON_COMPLETE": "bash_complete", "COMP_WORDS": "recon mri --method ", "COMP_CWORD": "3"}
    offered = CliRunner().invoke(cli, env=environment, prog_name="recon").output
    assert {"plain,tv", "plain,cg-sense", "plain,l1-wavelet", "plain,zero-filled"} <= set(offered.split())


def test_methods_are_listed_with_a_line_each() -> None:
    listed = run_recon("methods").out
    for name in ("fbp", "cgls", "sirt", "tv", "zero-filled", "cg-sense", "l1-wavelet"):
        line = next(line for line in listed.splitlines() if line.split()[0] == name)
        assert len(line.split()) > 3
    assert "--set" not in listed


def test_one_method_is_described_with_its_options() -> None:
    text = run_recon("methods", "sirt").out
    assert "--set iterations=" in text
    assert "MR" not in text
    both = json.loads(run_recon("methods", "tv", "--json").out)
    assert set(both) == {"CT", "MR"}
    assert both["CT"]["tv"]["options"]["iterations"]["default"] > 0
    assert both["CT"]["tv"]["options"]["iterations"]["help"]


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_ct(tmp_path / "ct.nii.gz")
    write_mr(tmp_path / "mr.nii.gz")
    write_dicom(tmp_path / "series")
    write_fastmri(tmp_path / "file.h5", coils=2)
    np.save(tmp_path / "k.npy", kspace())
    assert run_recon("simulate", "svct", "-i", "ct.nii.gz", "-q").code == 0
    assert run_recon("simulate", "mri", "-i", "mr.nii.gz", "--mask", "gauss1d", "--accel", 2, "-q").code == 0
    return tmp_path


INFO = {
    "ct.nii.gz": ("NIfTI", "LPS", "recon svct"),
    "mr.nii.gz": ("NIfTI", "LPS", "recon mri"),
    "series": ("DICOM", "LPS", "recon svct"),
    "sinogram.h5": ("40 views", "recon svct would", " --sinogram"),
    "file.h5": ("fastMRI", "3, 2, 40, 48", "recon mri"),
    "kspace.h5": ("sampled: 0.5", "as it was sampled and compare with the reference"),
    "k.npy": ("complex64", "--axes", "recon mri"),
}


def test_info_tells_what_a_file_is(scans: Path) -> None:
    for name, expected in INFO.items():
        text, machine = run_recon("info", name), run_recon("info", name, "--json")
        assert (text.code, machine.code) == (0, 0)
        for words in expected:
            assert words in text.out, (name, words)
        facts = json.loads(machine.out)
        assert facts["path"] == name
        assert facts["problem"] is None
        assert facts["shape"]


def test_info_on_a_bad_file_tells_the_problem_and_fails(scans: Path) -> None:
    whole = (scans / "ct.nii.gz").read_bytes()
    (scans / "cut.nii.gz").write_bytes(whole[:-40])
    result = run_recon("info", "cut.nii.gz", "--json")
    assert result.code == 2
    assert "truncated" in json.loads(result.out)["problem"]
    assert result.err.startswith("recon: cut.nii.gz")


def test_info_and_view_name_flags_and_no_parameters_of_python(scans: Path) -> None:
    write_dicom(scans / "series", uid="1.2.3.9999")
    (scans / "echoes.hdr").write_text("# Dimensions\n8 8 1 1 1 2\n")
    np.ones(128, np.complex64).tofile(scans / "echoes.cfl")
    told = run_recon("info", "echoes.cfl")
    assert told.code == 2
    assert "choose one with --contrast: 0, 1" in told.err
    assert "choose one with --contrast: 0, 1" in told.out
    assert "--series and the end of its UID" in run_recon("info", "series").out
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "--port" in run_recon("view", "ct.nii.gz", "--port", taken.getsockname()[1], "--no-open").err


@pytest.mark.parametrize("program", [cli, benchmarks], ids=lambda program: program.name)
def test_every_command_tells_its_errors_in_flags(program: click.Group) -> None:
    context = click.Context(program)
    groups = [program]
    while groups:
        group = groups.pop()
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                groups.append(command)
            else:
                assert isinstance(command, FlaggedCommand), name
