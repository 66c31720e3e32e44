"""Imported official checkpoints: a head is trained on them, and reconstructs, by the same commands as on any prior."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cli import main as benchmarks
from priors.weights.card import read_card
from recon.cli import cli

SIZES = ["--set", "resnet_groups=4", "--set", "DiT_num_heads=2"]
"""Of the recorded tiny networks; files of the released sizes need none."""


PHANTOMS = "phantom:count=4,size=16x32x32,spacing=5x10x10"


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a head that was trained, by the commands, on the recorded layouts of both official files."""
    folder, recorded = tmp_path_factory.mktemp("official"), shared / "fixtures" / "meddiffusion"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_WEIGHTS", str(folder / "weights"))
        run("weights", "import", str(recorded / "ae_lightning_layout.ckpt"), "--prior", "official-tiny")
        run("weights", "import", str(recorded / "biflownet_layout.pt"), "--prior", "official-tiny", *SIZES)
        run(
            *["train", "controlnet", "--dataset", PHANTOMS, "--cache", str(folder / "cache"), "--recipe", "tiny"],
            *["--base", "official-tiny", "--task", "svct", "--simulate", "ideal", "--views", "24"],
            *["--set", "steps=2", "--set", "validation.every=2", "--set", "checkpoints.every=2"],
            *["--out", str(folder / "head")],
        )
        given = ["data", "write", f"{PHANTOMS},seed=7", str(folder / "case")]
        written = CliRunner().invoke(benchmarks, given, catch_exceptions=False)
        assert written.exit_code == 0, written.output
        yield folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.filterwarnings("ignore:.*released")
@pytest.mark.parametrize(
    "chosen", [["--method", "meddiffusion-paper"], ["--set", "within=1", "--set", "steps=5"], ["--set", "samples=2"]]
)
def test_a_head_on_them_reconstructs(folder: Path, tmp_path: Path, chosen: list[str]) -> None:
    case = sorted((folder / "case").rglob("*.nii.gz"))[0]
    head = folder / "head" / "head.safetensors"
    scan = ["--simulate", "ideal", "--views", "24", "--input", str(case)]
    run("svct", *scan, "--weights", str(head), "-o", str(tmp_path / "out"), *chosen)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["method"] == ("meddiffusion-paper" if "--method" in chosen else "meddiffusion")
    assert result["weights_sha256"]["head"] == read_card(head).sha256
    assert (tmp_path / "out" / "std.nii.gz").exists() == ("samples=2" in chosen)
