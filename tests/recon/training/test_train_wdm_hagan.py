"""WDM and HA-GAN by the command: their tiny recipes train on phantoms, and their folders generate volumes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from cli_helpers import run_recon, train

from priors.training.generators.hagan import PHASES
from priors.weights.card import read_card

ONE = "phantom:count=2,size=32x24x24,spacing=10x16x16"


@pytest.mark.parametrize(("network", "edge"), [("wdm", 16), ("hagan", 32)])
def test_a_folder_of_a_tiny_training_generates(tmp_path: Path, network: str, edge: int) -> None:
    common = ["--dataset", ONE, "--recipe", "tiny", "--set", "steps=8", "--cache", tmp_path / "cache", "-q"]
    path = train(network, *common, "--out", tmp_path / "run")
    card = read_card(path)
    assert card.extra["size"] == [edge] * 3
    assert list(card.extra["classes"]) == ["CTChestAbdomen"]
    made = tmp_path / "made.nii.gz"
    run = run_recon("generate", "--prior", tmp_path / "run", "--class", "CTChestAbdomen", "--seed", 3, "-o", made)
    assert run.code == 0, run.err
    told = json.loads((tmp_path / "made.json").read_text())
    assert card.sha256 in json.dumps(told)
    assert made.exists()


def test_each_network_of_hagan_has_its_losses_and_its_rate(tmp_path: Path) -> None:
    common = ["--dataset", ONE, "--recipe", "tiny", "--set", "steps=8", "--cache", tmp_path / "cache", "-q"]
    train("hagan", *common, "--out", tmp_path / "run")
    rates = {}
    for phase in PHASES:
        with (tmp_path / "run" / f"train-{phase}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 2
        rates[phase] = float(rows[0]["lr"])
    assert rates == {"discriminator": 1.6e-3, "generator": 4e-4, "encoder": 4e-4, "sub_encoder": 4e-4}


@pytest.mark.parametrize(
    ("network", "setting", "message"),
    [
        ("wdm", "task.size=[6,8,8]", "task.size: Z is 6 voxels, which is no multiple of 4"),
        ("wdm", "network.blocks=0", "blocks is 0"),
        ("hagan", "task.size=[32,32,64]", "HA-GAN learns cubes with edges of 32, 64, 128, 256 voxels"),
        ("hagan", "task.conditional=true", "task.conditional: the data have one class alone"),
    ],
)
def test_recipes_that_cannot_be_trained(tmp_path: Path, network: str, setting: str, message: str) -> None:
    common = ["--dataset", ONE, "--recipe", "tiny", "--set", setting, "--cache", tmp_path / "cache", "-q"]
    found = run_recon("train", network, *common, "--out", tmp_path / "run")
    assert found.code == 2
    assert message in found.err
    assert found.err.count("\n") == 1
