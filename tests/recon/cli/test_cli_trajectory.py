"""``recon mri --trajectory``: from a volume along spokes to results, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cli_helpers import run_recon

from physics.mr.trajectories import radial


@pytest.fixture
def head(tmp_path: Path) -> Path:
    y, x = np.mgrid[-1:1:40j, -1:1:36j]
    discs = 700.0 * (np.hypot(y, x) < 0.8) + 300.0 * (np.hypot(y - 0.2, x) < 0.2)
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(np.repeat(discs.T[..., None], 2, 2).astype(np.float32), np.eye(4)), path)
    return path


def test_a_radial_scan(head: Path, tmp_path: Path) -> None:
    given = (
        "mri",
        "-i",
        head,
        "--trajectory",
        "radial",
        "--spokes",
        20,
        "--method",
        "cg-sense",
        "-o",
        tmp_path / "out",
    )
    assert run_recon(*given).code == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["mask"] is None
    assert result["true_acceleration"] == pytest.approx(np.pi / 2 * 40 / 20)
    assert (tmp_path / "out" / "report.html").exists()


def test_a_trajectory_file(head: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", radial(16, 60).numpy())
    given = ("mri", "-i", head, "--trajectory", tmp_path / "mine.npy", "--coils", 3, "--method", "gridding")
    assert run_recon(*given, "-o", tmp_path / "out").code == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--trajectory", "radial", "--accel", 4), "--accel"),
        (("--trajectory", "rosette"), "--trajectory rosette: neither a file"),
        (("--trajectory", "radial", "--method", "unet"), "the scan has samples along a trajectory"),
        (("--spokes", 12), "--spokes"),
    ],
)
def test_refused(head: Path, tmp_path: Path, given: tuple[object, ...], message: str) -> None:
    found = run_recon("mri", "-i", head, *given, "-o", tmp_path / "out")
    assert found.code == 2
    assert message in found.err
