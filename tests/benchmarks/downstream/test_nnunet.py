"""How commands are called and ended; nnU-Net itself where it is on the PATH: minutes on one core."""

from __future__ import annotations

import os
import shutil
import signal
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


def test_an_interrupted_command_ends_with_its_workers(tmp_path: Path) -> None:
    command, log = tmp_path / "train", tmp_path / "logs" / "train.txt"
    command.write_text("#!/bin/sh\nsleep 300 &\necho $!\necho ready > ready\nwait\n", encoding="utf-8")
    command.chmod(0o755)

    def stop(number: int, frame: object) -> None:
        if (tmp_path / "ready").exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before, folder = signal.signal(signal.SIGALRM, stop), Path.cwd()
    os.chdir(tmp_path)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            NnUNet({TRAIN: command}, "unknown").call(TRAIN, [], {}, log)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.chdir(folder)
    worker = int(log.read_text())
    for _ in range(100):
        if not _runs(worker):
            break
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(process: int) -> bool:
    """Whether a process is there, and no zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
