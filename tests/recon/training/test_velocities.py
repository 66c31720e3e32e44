"""A BiFlowNet of velocities from training to a volume."""

from __future__ import annotations

import json
from pathlib import Path

from cli_helpers import run_recon, train
from tiny_prior import write_prior

from priors.weights.card import read_card

DATA = "phantom:count=4,size=32x32x32,spacing=8x10x10"


def test_a_network_of_velocities_samples_from_noise_alone(tmp_path: Path) -> None:
    """Noise estimators do so from the average of a class, since their samples have a wrong mean otherwise."""
    write_prior(tmp_path / "base")
    common = ["--dataset", DATA, "--recipe", "tiny", "--cache", tmp_path / "cache", "--base", tmp_path / "base", "-q"]
    short = ["--set", "steps=2", "--set", "validation.every=2", "--set", "task.mirror=false"]
    made = {}
    for prediction in ("noise", "velocity"):
        asked = ["--out", tmp_path / prediction, "--set", f"network.prediction={prediction}"]
        card = read_card(train("biflownet", *common, *short, *asked))
        assert card.config["prediction"] == prediction
        assert ("averages" in card.extra) == (prediction == "noise")
        out = tmp_path / f"{prediction}.nii.gz"
        words = ["--prior", tmp_path / prediction, "--class", "CTChestAbdomen", "--steps", 2, "-o", out, "-q"]
        found = run_recon("generate", *words)
        assert found.code == 0, found.err
        made[prediction] = json.loads((tmp_path / f"{prediction}.json").read_text())
    assert made["velocity"]["start"] == "noise"
    assert made["noise"]["start"] == "average"
