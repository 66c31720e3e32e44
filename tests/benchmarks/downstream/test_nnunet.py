"""How commands are called and ended; nnU-Net itself where it is on the PATH: minutes on one core."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.downstream.folds import SETTINGS, divide
from benchmarks.downstream.nnunet import TRAIN, NnUNet, find_nnunet
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


def test_an_interrupted_command_ends_with_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, log, ready = tmp_path / "train", tmp_path / "logs" / "train.txt", tmp_path / "ready"
    command.write_text(f"#!/bin/sh\nsleep 300 &\necho $!\necho > '{ready}'\nwait\n", encoding="utf-8")
    command.chmod(0o755)
    wait, asked = subprocess.Popen.wait, []

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        asked.append(timeout)
        if len(asked) > 1:
            return wait(process, timeout)
        while not ready.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        NnUNet({TRAIN: command}, "unknown").call(TRAIN, [], {}, log)
    worker = int(log.read_text())
    while _runs(worker):  # it was told to end, and needs a moment
        time.sleep(0.01)


def _runs(process: int) -> bool:
    """Whether a process is there, and no zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
