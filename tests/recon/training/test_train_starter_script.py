"""The script that trains the shipped prior, from data to report, with toy networks."""

from __future__ import annotations

from pathlib import Path

import yaml
from scripts import run_script

from priors.diffusion.load import load_prior
from priors.weights.card import read_card


def test_the_whole_way_to_a_prior(tmp_path: Path) -> None:
    kinds = (("torso", "CTChestAbdomen"), ("limbs", "CTLegs"))
    rows = [
        {"dataset": f"phantom:count=8,size=32x32x32,spacing=6x10x10,anatomy={kind}", "modality": "CT", "class": name}
        for kind, name in kinds
    ]
    data, out = tmp_path / "data.yaml", tmp_path / "out"
    data.write_text(yaml.safe_dump(rows))
    done = run_script("train-starter.sh", data, out, "tiny")
    assert done.returncode == 0, done.stderr
    prior = load_prior(out / "prior")
    assert set(prior.classes) == {"CTChestAbdomen", "CTLegs"}
    assert read_card(out / "joint" / "autoencoder.safetensors").extra["recipe"]["batch"] == 1
    stored = (out / "prior" / "biflownet.safetensors").stat().st_size
    assert stored < 0.6 * (out / "noise" / "biflownet.safetensors").stat().st_size
    for name in ("round-trips.json", "round-trips.png", "samples.png"):
        assert (out / "report" / name).is_file()
