"""The script that trains six generators and compares them, from data to the table, with toy networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from scripts import run_script

from benchmarks.generation import competitors
from priors.generators.load import load_generator

SCAN = "phantom:count=10,size=32x32x32,spacing=8x8x8,seed=5"


def test_the_whole_way_from_data_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("monai")
    monkeypatch.setattr(competitors, "load_generator", load_generator)  # networks, and not toys
    data, out = tmp_path / "data.yaml", tmp_path / "out"
    data.write_text(yaml.safe_dump([{"dataset": SCAN, "modality": "CT", "class": "CTChestAbdomen"}]))
    compare = "--count 4 --features pooled --steps 2"
    done = run_script("train-generators.sh", data, out, 4, "tiny", SIZE=32, COMPARE=compare)
    assert done.returncode == 0, done.stderr
    content = json.loads((out / "results" / "table3" / "results.json").read_text())
    assert content["absent"] == []
    assert content["size"] == [32, 32, 32]
    methods = ["HA-GAN", "MedicalDiffusion", "WDM", "MAISI", "MedSyn", "3D MedDiffusion"]
    assert [row["label"] for row in content["rows"]] == methods
    for row in content["rows"]:
        assert row["trained"]["seconds"] > 0
        assert set(row["trained"]["steps"].values()) == {2}
        assert row["sampled"]["count"] == 4
