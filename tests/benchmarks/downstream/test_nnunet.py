"""nnU-Net itself, where its commands are on the PATH: minutes on one core. All other tests have a stand-in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.downstream.folds import SETTINGS, divide
from benchmarks.downstream.nnunet import TRAIN, find_nnunet
from benchmarks.downstream.raw_data import write_raw
from benchmarks.downstream.segmentation_scores import score_files
from benchmarks.downstream.training import How, Short, Workspace
from datasets.sets.phantom import parse_phantom


@pytest.mark.skipif(shutil.which(TRAIN) is None, reason="nnU-Net is not installed")
def test_one_network_is_planned_trained_and_asked(tmp_path: Path) -> None:
    division = divide(parse_phantom("count=16,size=40x64x64,spacing=8x5x5").cases())
    workspace = Workspace(find_nnunet(None), tmp_path / "nnunet", How("3d_fullres", Short(1, 10), "cpu", 1))
    write_raw(workspace.raw, division, None, print)
    workspace.plan(print)
    real = SETTINGS[2]
    assert workspace.train(real, 0, division, print) > 0
    predictions, _ = workspace.predict(real, 0, print)
    for name in division.named_test:
        scores = score_files(workspace.raw.test_labels(name), predictions / f"{name}.nii.gz")
        assert set(scores) == {"kidney", "tumour", "kidney_alone"}
