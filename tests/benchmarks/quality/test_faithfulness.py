"""Faithfulness of generated volumes at toy size: every figure is there, and real volumes are the yardstick."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import run_benchmarks
from tiny_prior import BASE, write_prior

from benchmarks.quality import faithfulness
from benchmarks.quality.faithfulness import Faithfulness, LabelRow, NearnessRow, summary, table, thumbnail
from priors.networks.controlnet import ControlNet
from priors.weights.card import Card, save_weights
from priors.weights.networks import load_biflownet
from recon.learned.mask_task import mask_task

PHANTOMS = "phantom:count=8,seed=3,size=40x64x64,spacing=8x6x6"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    prior = write_prior(folder / "tiny", replace(BASE, token_patch=1))
    task = mask_task({1: "kidney", 2: "tumour"})
    network = ControlNet.from_base(load_biflownet(prior / "biflownet.safetensors"), 4, task.to_dict())
    card = Card("controlnet", network.config.to_dict(), extra={"base_sha256": network.base_hash})
    save_weights(folder / "head.safetensors", network.state_dict(), card)
    return folder / "head.safetensors"


def test_the_whole_path(head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = faithfulness.generated
    made = []

    def seen(*arguments: object) -> torch.Tensor:
        made.append(real(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(faithfulness, "generated", seen)
    small = ("--segmenter-steps", 2, "--steps", 1, "--cases", 1, "--split", "train", "--dataset", PHANTOMS)
    out = tmp_path / "found.json"
    run = run_benchmarks(
        "faithfulness", head, "--prior", head.parent / "tiny", *small, "--cache", tmp_path / "cache", "-o", out
    )
    assert run.code == 0, run.err
    found = json.loads(out.read_text())
    assert made[0].shape == (40, 64, 64)
    assert made[0].min() >= -1000
    labels = {row["label"] for row in found["labels"]}
    assert "body" in labels
    assert labels <= {"body", "kidney", "tumour"}
    for row in found["labels"]:
        assert row["voxels"] > 0
        assert 0 <= row["dice"] <= 1
        assert 0 <= row["dice_real"] <= 1
        assert np.isfinite([row["hu"], row["hu_real"], row["spread"], row["spread_real"]]).all()
    (near,) = found["nearness"]
    assert near["distance"] > 0
    assert near["distance_real"] > 0
    assert "nearest volume of the training" in run.out


def test_data_without_segmentations(head: Path, tmp_path: Path):
    run = run_benchmarks("faithfulness", head, "--prior", head.parent / "tiny", "--cache", tmp_path)
    assert run.code == 2
    assert "--data: name a folder" in run.err


def row(case: str, dice: float | None, missed: bool = False) -> LabelRow:
    return LabelRow(case, "tumour", 5, 0.9, dice, 2.0, None if missed else 3.0, 40, 30, 5, 6, missed)


def test_missed_lesions_count_in_dice_and_are_counted_apart():
    found = Faithfulness((row("a", 0.8), row("b", 0.0, missed=True)), (NearnessRow("a", "x", 50.0, 60.0),))
    figures = summary(found)["tumour"]
    assert figures["dice"] == pytest.approx(0.4)
    assert figures["missed"] == 1
    assert figures["hd95"] == 3.0
    assert summary(found)["nearness"] == {"distance": 50.0, "distance_real": 60.0}
    assert "0.400" in table(found)[1]


def test_a_small_shift_is_near_and_another_anatomy_far():
    image = torch.full((16, 64, 64), -1000.0)
    image[:, 16:40, 16:40] = 40.0
    far = image.flip(1).roll(20, 2)
    near = image.roll(1, 1)
    distances = [float((thumbnail(image) - thumbnail(other)).square().mean().sqrt()) for other in (near, far)]
    assert 0 < distances[0] < 0.5 * distances[1]
