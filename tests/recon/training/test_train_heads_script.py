"""The script that trains the shipped heads, from data to files that are found, with toy networks."""

from __future__ import annotations

from pathlib import Path

import yaml
from cli_helpers import write_mr
from scripts import run_script
from tiny_prior import write_prior

from priors.diffusion.load import load_prior
from priors.weights.card import read_card
from recon.learned.refiner import load_refiner


def write_brains(folder: Path) -> None:
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        write_mr(folder / split / f"{split}.nii.gz")


def check_heads(folder: Path) -> None:
    for name in ("svct", "mri"):
        head = folder / f"{name}.safetensors"
        card = read_card(head)
        assert card.config["task"]["task"] == name
        assert load_refiner(str(folder / f"{name}-refiner.safetensors"), head, card.sha256) is not None


def test_the_whole_way_to_heads_and_refiners(tmp_path: Path) -> None:
    phantoms = [{"dataset": "phantom:count=3,size=16x32x32,spacing=6x10x10,seed=5", "modality": "CT"}]
    (tmp_path / "ct.yaml").write_text(yaml.safe_dump(phantoms))
    write_brains(tmp_path / "brains")
    (tmp_path / "mr.yaml").write_text(yaml.safe_dump([{"path": "brains", "modality": "MR"}]))
    prior, out = write_prior(tmp_path / "prior"), tmp_path / "out"
    done = run_script("train-heads.sh", tmp_path / "ct.yaml", tmp_path / "mr.yaml", out, "tiny", prior)
    assert done.returncode == 0, done.stderr
    check_heads(out / "heads")


def test_the_quick_way_to_a_prior_goes_on_from_another(tmp_path: Path) -> None:
    phantoms = {
        "dataset": "phantom:count=3,size=16x32x32,spacing=6x10x10,seed=5",
        "modality": "CT",
        "class": "CTChestAbdomen",
    }
    write_brains(tmp_path / "brains")
    brains = {"path": "brains", "modality": "MR", "class": "MRT1Brain"}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump([phantoms, brains]))
    out = tmp_path / "out"
    done = run_script("train-quick.sh", tmp_path / "data.yaml", out, "tiny")
    assert done.returncode == 0, done.stderr
    first = load_prior(out / "prior")
    assert set(first.classes) == {"CTChestAbdomen", "MRT1Brain"}
    again = run_script("train-quick.sh", tmp_path / "data.yaml", tmp_path / "again", "tiny", START=out / "prior")
    assert again.returncode == 0, again.stderr
    assert load_prior(tmp_path / "again" / "prior").sha256 != first.sha256
    failed = run_script("train-quick.sh", tmp_path / "none.yaml", tmp_path / "other", "tiny")
    assert failed.returncode != 0
    assert not (tmp_path / "other" / "prior" / "autoencoder.safetensors").exists()
