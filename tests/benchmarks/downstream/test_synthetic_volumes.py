"""Synthetic volumes that a head makes: one for each mask, on its grid, kept, and taken as that mask's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_prior import BASE, write_prior

from benchmarks.downstream import synthetic_volumes
from benchmarks.downstream.folds import Member
from benchmarks.downstream.segmentation_cases import check_synthetic, read_real, read_synthetic, synthetic_file
from benchmarks.downstream.synthetic_volumes import HeadVolumes
from datasets.sets.phantom import parse_phantom
from priors.generators.generator import Sampling
from priors.networks.controlnet import ControlNet
from priors.weights.card import Card, save_weights
from priors.weights.networks import load_biflownet
from recon.errors import InputError
from recon.generation.mask import MaskHead, load_mask_head
from recon.learned.mask_task import mask_task

MEMBERS = [
    Member(case, number, 0, 0)
    for number, case in enumerate(parse_phantom("count=2,seed=3,size=16x32x32,spacing=20x12x12").cases())
]


def head(folder: Path, labels: dict[int, str]) -> MaskHead:
    """A head that changes nothing, on a tiny prior of random weights."""
    prior = write_prior(folder / "tiny", replace(BASE, token_patch=1))
    task = mask_task(labels)
    network = ControlNet.from_base(
        load_biflownet(prior / "biflownet.safetensors"), task.hint_channels(4, 4), task.to_dict()
    )
    card = Card("controlnet", network.config.to_dict(), extra={"base_sha256": network.base_hash})
    save_weights(folder / "head.safetensors", network.state_dict(), card)
    return load_mask_head(folder / "head.safetensors", str(prior))


def test_each_mask_has_one_volume_which_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(synthetic_volumes, "SAMPLING", Sampling(steps=1))
    lines: list[str] = []
    volumes = HeadVolumes(head(tmp_path, {1: "kidney", 2: "tumour", 3: "cyst"}), tmp_path / "out")
    folder = volumes.make(MEMBERS, lines.append)
    check_synthetic(folder, MEMBERS)
    assert lines[0] == "synthetic volumes: 0 of 2 are there"
    file = synthetic_file(folder, MEMBERS[0].case)
    written = file.stat().st_mtime_ns
    image, labels = read_synthetic(file, MEMBERS[0].case)
    real, own = read_real(MEMBERS[0].case)
    assert image.data.shape == real.data.shape
    assert (labels.data == own.data).all()
    assert volumes.make(MEMBERS, lines.append) == folder
    assert file.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="does not know the label 3"):
        HeadVolumes(head(tmp_path / "other", {1: "kidney", 2: "tumour"}), tmp_path / "more").make(MEMBERS, lines.append)
