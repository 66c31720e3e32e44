"""``recon mri --trajectory``: from a volume along spokes to results, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cli_helpers import run_recon

from physics.mr.birdcage import birdcage_maps
from physics.mr.stack_of_stars import StackOfStars
from physics.mr.trajectories import radial
from recon.io.kspace.off_grid_files import write_off_grid
from recon.scan.non_cartesian_kspace import NonCartesianKSpace


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


def test_a_simulated_scan_goes_through_a_file(head: Path, tmp_path: Path) -> None:
    path = tmp_path / "radial.h5"
    given = ("--trajectory", "radial", "--spokes", 20, "--coils", 3, "-o", path)
    assert run_recon("simulate", "mri", "-i", head, *given).code == 0
    facts = json.loads(run_recon("info", path, "--json").out)
    assert facts["kind"] == "k-space along a trajectory (radial)"
    assert facts["details"]["image (y, x)"] == [40, 36]
    found = run_recon("mri", path, "--method", "gridding,cg-sense,tv,l1-wavelet", "-o", tmp_path / "out")
    assert found.code == 0, found.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["simulation"] == "continuous"
    psnr = {each["method"]: each["metrics"]["psnr"] for each in result["results"]}
    assert set(psnr) == {"gridding", "cg-sense", "tv", "l1-wavelet"}
    assert psnr["tv"] > psnr["gridding"]
    for wrong, message in (
        (("--accel", 4), "--accel: the data are sampled along a trajectory"),
        (("--matrix", "a"), "--matrix a: must be two whole numbers"),
        (("--matrix", "8,8"), "the reference image is (2, 40, 36), not (2, 8, 8)"),
        (("--method", "pocs"), "--method pocs: takes samples on a Cartesian grid"),
        (("--spokes", 9), "--spokes: the data are measured already"),
    ):
        refused = run_recon("mri", path, *wrong, "-o", tmp_path / "none")
        assert refused.code == 2
        assert message in refused.err


def test_a_stack_of_stars_with_missing_partitions(tmp_path: Path) -> None:
    y = torch.linspace(-1, 1, 24)
    body = torch.sigmoid(15 * (0.8 - torch.hypot(y[:, None], y))).expand(6, -1, -1).to(torch.complex64)
    measured = torch.tensor([False, True, True, True, True, False])
    spokes = radial(16, 48)
    maps = birdcage_maps(3, (24, 24)).expand(6, -1, -1, -1).contiguous()
    data = StackOfStars(spokes, (24, 24), measured, maps)(body)
    meta = {"spacing_known": True, "orientation_known": True}
    kspace = NonCartesianKSpace(data, spokes, (24, 24), np.eye(4), "radial", measured, reference=body.abs(), meta=meta)
    write_off_grid(tmp_path / "stack.h5", kspace)
    given = ("mri", tmp_path / "stack.h5", "--method", "gridding,cg-sense,tv,l1-wavelet", "--set", "tv.iterations=40")
    found = run_recon(*given, "-o", tmp_path / "out")
    assert found.code == 0, found.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert all(each["metrics"]["psnr"] > 15 for each in result["results"])
    assert "partition, 4 of 6 of which were measured" in (tmp_path / "out" / "report.html").read_text()


def test_arrays_and_their_trajectory(head: Path, tmp_path: Path) -> None:
    spokes = radial(24, 64)
    data = np.random.default_rng(0).standard_normal((2, 24, 64)) + 0j
    np.save(tmp_path / "k.npy", data * np.exp(-40 * (spokes.numpy() ** 2).sum(-1)))
    np.save(tmp_path / "t.npy", 32 * spokes.numpy())
    given = ("mri", tmp_path / "k.npy", "--axes", "crs", "--trajectory", tmp_path / "t.npy", "--method", "gridding")
    found = run_recon(*given, "-o", tmp_path / "out")
    assert found.code == 0, found.err
    assert nib.load(tmp_path / "out" / "recon.nii.gz").shape == (32, 32, 1)
    assert run_recon("mri", head, "--matrix", "8,8", "-o", tmp_path / "no").err.count("--matrix") == 1


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
