"""Names of files are printed, not obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_helpers import run_recon

from recon.cli.harmless import harmless


@pytest.mark.parametrize(
    "evil", ["\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "a\rb", "\u202egpj.exe", "\x7f", "\u2028"]
)
def test_control_characters_are_question_marks(evil):
    shown = harmless(f"{evil}\n\tend é – 体 ")
    assert "?" in shown
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    assert shown.endswith("\n\tend é – 体 ")


def test_an_error_about_a_file_does_not_command_the_terminal(tmp_path):
    path = tmp_path / "\x1b[31mevil\x1b]0;t\x07.nii.gz"
    path.write_bytes(b"no NIfTI")
    run = run_recon("svct", "-i", path, "--method", "fbp", "-o", tmp_path / "out")
    assert run.code == 2
    assert "\x1b" not in run.err
    assert "\x07" not in run.err
    assert not Path(tmp_path / "out").exists()
