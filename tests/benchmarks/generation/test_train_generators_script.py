"""The script that trains six generators and compares them, from data to the table, with toy networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import scripts
import yaml
from cli_helpers import Run
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


@pytest.mark.parametrize(
    ("name", "table", "regions"), [("CTChestAbdomen", "table3", "true"), ("MRT1Brain", "table4", "false")]
)
def test_a_class_of_mr_has_no_regions_of_the_body_and_a_table_of_its_own(
    name: str, table: str, regions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def heard(*arguments: str) -> Run:
        asked.append(arguments)
        return Run(0, "", "")

    for command in scripts.COMMANDS:
        monkeypatch.setitem(scripts.COMMANDS, command, heard)
    done = run_script("train-generators.sh", "data.yaml", tmp_path, CLASS=name)
    assert done.returncode == 0, done.stderr
    (maisi,) = (each for each in asked if each[:2] == ("train", "maisi"))
    assert f"network.regions={regions}" in maisi
    assert asked[-1][:2] == ("run", table)
