"""The script that trains the shipped heads, from data to files that are found, with toy networks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
import yaml
from cli_helpers import ROOT, write_mr

from priors.autoencoder import AutoencoderConfig, PatchVolumeAutoencoder
from priors.biflownet import BiFlowNet, BiFlowNetConfig
from priors.weights import Card, read_card, save_weights
from recon.refiner import load_refiner


def write_prior(folder: Path) -> Path:
    """Of random weights and small sizes."""
    torch.manual_seed(0)
    folder.mkdir()
    autoencoder = AutoencoderConfig(width=8, latent_channels=4, codes=32, norm_groups=4, patch=16)
    sizes = {"width": 12, "multipliers": (1, 1, 2), "attention": (False, False, True), "channels": 4}
    biflownet = BiFlowNetConfig(**sizes, token_patch=2, attention_heads=2, norm_groups=4, dit_heads=2)
    for kind, network in (
        ("autoencoder", PatchVolumeAutoencoder(autoencoder)),
        ("biflownet", BiFlowNet(biflownet)),
    ):
        card = Card(kind, network.config.to_dict())
        save_weights(folder / f"{kind}.safetensors", network.state_dict(), card)
    return folder


def test_the_whole_way_to_heads_and_refiners(tmp_path: Path) -> None:
    phantoms = [{"dataset": "phantom:count=8,size=16x32x32,spacing=6x10x10", "modality": "CT"}]
    (tmp_path / "ct.yaml").write_text(yaml.safe_dump(phantoms))
    for split in ("train", "val"):
        folder = tmp_path / "brains" / split
        folder.mkdir(parents=True)
        write_mr(folder / f"{split}.nii.gz")
    (tmp_path / "mr.yaml").write_text(yaml.safe_dump([{"path": "brains", "modality": "MR"}]))
    prior, out = write_prior(tmp_path / "prior"), tmp_path / "out"
    script = ROOT / "docs" / "train-heads.sh"
    given = [tmp_path / "ct.yaml", tmp_path / "mr.yaml", out, "tiny", prior]
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", script, *given, "--set", "steps=2", "--device", "cpu"],
        env=os.environ | {"PATH": commands, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, task in (("svct", "svct"), ("mri", "mri")):
        head = out / "heads" / f"{name}.safetensors"
        card = read_card(head)
        assert card.config["task"]["task"] == task
        assert load_refiner(str(out / "heads" / f"{name}-refiner.safetensors"), head, card.sha256) is not None
