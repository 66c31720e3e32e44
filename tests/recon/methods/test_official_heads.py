"""Imported official checkpoints: a head is trained on them, and reconstructs, by the same commands as on any prior."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cli import main as benchmarks
from priors.weights.card import read_card
from recon.cli import cli

SIZES = ["--set", "resnet_groups=4", "--set", "DiT_num_heads=2"]
"""Of the recorded tiny networks; files of the released sizes need none."""


@pytest.fixture
def imported(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The recorded layouts of both official files, imported by the command."""
    monkeypatch.setenv("RECON_WEIGHTS", str(tmp_path / "weights"))
    folder = shared / "fixtures" / "meddiffusion"
    run("weights", "import", str(folder / "ae_lightning_layout.ckpt"), "--prior", "official-tiny")
    run("weights", "import", str(folder / "biflownet_layout.pt"), "--prior", "official-tiny", *SIZES)
    return "official-tiny"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.filterwarnings("ignore:.*released")
@pytest.mark.parametrize(
    "chosen", [["--method", "meddiffusion-paper"], ["--set", "within=1", "--set", "steps=5"], ["--set", "samples=2"]]
)
def test_a_head_on_them_is_trained_and_reconstructs(imported: str, tmp_path: Path, chosen: list[str]) -> None:
    phantoms = "phantom:count=4,size=16x32x32,spacing=5x10x10"
    run(
        *["train", "controlnet", "--dataset", phantoms, "--cache", str(tmp_path / "cache"), "--recipe", "tiny"],
        *["--base", imported, "--task", "svct", "--views", "24", "--set", "steps=2", "--set", "validation.every=2"],
        *["--set", "checkpoints.every=2", "--out", str(tmp_path / "head")],
    )
    written = CliRunner().invoke(
        benchmarks, ["data", "write", f"{phantoms},seed=7", str(tmp_path / "case")], catch_exceptions=False
    )
    assert written.exit_code == 0, written.output
    case = sorted((tmp_path / "case").rglob("*.nii.gz"))[0]
    head = tmp_path / "head" / "head.safetensors"
    run("svct", "--views", "24", "--input", str(case), "--weights", str(head), "-o", str(tmp_path / "out"), *chosen)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["method"] == ("meddiffusion-paper" if "--method" in chosen else "meddiffusion")
    assert result["weights_sha256"]["head"] == read_card(head).sha256
    assert (tmp_path / "out" / "std.nii.gz").exists() == ("samples=2" in chosen)
