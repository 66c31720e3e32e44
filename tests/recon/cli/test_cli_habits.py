"""What people are used to from other programs: home folders, names of outputs, closed streams, narrow terminals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import ROOT, kspace, run_recon, write_ct, write_mr

import recon

FBP = ("--method", "fbp", "--geometry", "sparse20", "--simulate", "ideal")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in an empty folder of its own, which is the home folder too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_home_folder_is_known_behind_an_equals_sign() -> None:
    write_ct(Path("ct.nii.gz"))
    run = run_recon("svct", "--input=~/ct.nii.gz", *FBP, "--output=~/out", "-q")
    assert run.code == 0, run.err
    assert Path("out/recon.nii.gz").is_file()
    assert not Path("~").exists()


@pytest.mark.parametrize("option", ["--input", "--output", "--sinogram", "--weights"])
def test_an_empty_path_is_one_line(option: str) -> None:
    run = run_recon("svct", option, "")
    assert run.code == 2
    assert run.err.count("\n") == 1
    assert "must name a file or folder; it is empty" in run.err


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("out.nii.gz", "out"),
        ("a/b.dcm", "a/b"),
        ("case.png", "case"),
        ("pixels.0.5mm.nii.gz", "pixels.0.5mm"),
        (".nii", "out"),
    ],
)
def test_an_output_that_is_meant_as_a_file_says_where_the_volume_will_be(name: str, folder: str) -> None:
    write_ct(Path("ct.nii.gz"))
    run = run_recon("svct", "ct.nii.gz", *FBP, "-o", name)
    assert run.code == 2
    assert run.err.count("\n") == 1
    assert f"--output {name}: names a file" in run.err
    assert f"give {folder}, and the volume will be {folder}/recon.nii.gz" in run.err
    assert not Path(folder).exists()


def test_default_names_tell_geometry_views_mask_and_acceleration() -> None:
    write_ct(Path("ct.nii.gz"))
    write_mr(Path("mr.nii.gz"))
    np.save("k.npy", kspace())
    for given, folder in (
        (("svct", "ct.nii.gz", *FBP), "recon-ct-svct-sparse20-20views-fbp"),
        (("svct", "ct.nii.gz", *FBP, "--views", 12), "recon-ct-svct-sparse20-12views-fbp"),
        (("mri", "mr.nii.gz", "--method", "zero-filled", "--accel", 3), "recon-mr-mri-poisson-3x-zero-filled"),
        (
            ("mri", "mr.nii.gz", "--method", "zero-filled", "--mask", "gauss1d", "--accel", 4),
            "recon-mr-mri-gauss1d-4x-zero-filled",
        ),
        (("mri", "k.npy", "--axes", "zyx", "--method", "zero-filled"), "recon-k-mri-zero-filled"),
    ):
        run = run_recon(*given, "-q")
        assert run.code == 0, run.err
        assert run.out.strip() == folder


def test_a_closed_standard_error_is_no_obstacle() -> None:
    write_ct(Path("ct.nii.gz"))
    words = " ".join([sys.executable, "-m", "recon", "svct", "ct.nii.gz", *FBP, "-o", "out"])
    done = subprocess.run(
        ["sh", "-c", f"exec {words} 2>&-"],
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0
    assert "report: out/report.html" in done.stdout
    assert Path("out/recon.nii.gz").is_file()


def test_figures_fit_eighty_columns() -> None:
    from recon.cli.console import show_result

    figures = dict.fromkeys(("psnr", "ssim", "psnr_soft_tissue", "residual"), 12.3456)
    result = {
        "results": [{"method": "meddiffusion-paper+dc", "metrics": figures, "seconds": 1.0}],
        "baseline": {"method": "fbp"} | figures,
        "true_acceleration": None,
        "device": "CPU",
        "peak_rss_mb": 1.0,
    }
    import io
    from contextlib import redirect_stdout

    with redirect_stdout(io.StringIO()) as printed:
        show_result(result, Path("out"), as_json=False, quiet=False)
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "PSNR soft tissue" in lines[0]
    assert "dB" in lines[1]


def test_a_prompt_shows_lines_and_not_data() -> None:
    volume = recon.load(write_ct(Path("ct.nii.gz")), "CT")
    scan = recon.measure_ct(volume, "sparse20", simulate="ideal")  # type: ignore[arg-type]
    outcome = recon.reconstruct(scan.measurement, scan.grid, "fbp", truth=scan.truth)
    assert run_recon("simulate", "svct", "ct.nii.gz", "-q").code == 0
    np.save("k.npy", kspace())
    shown = {
        "<CT volume, 4 x 28 x 32 (z, y, x), 3 x 2 x 2 mm, ct.nii.gz>": volume,
        "<CT measurement, 4 x 20 x ": scan.measurement,
        "<scan of <CT measurement, ": scan,
        "<svct by fbp, psnr ": outcome,
        "<simulated sinogram, 4 x 40 x ": recon.load("sinogram.h5", "CT"),
        "<k-space, 3 x 1 x 40 x 48 (z, coils, y, x), complete, k.npy>": recon.load("k.npy", "MR", axes="zyx"),
    }
    for text, value in shown.items():
        assert repr(value).startswith(text)
        assert len(repr(value)) < 200
    assert {"load", "measure_ct", "reconstruct", "save"} <= set(dir(recon))


def test_info_knows_results_and_weights() -> None:
    write_ct(Path("ct.nii.gz"))
    assert run_recon("svct", "ct.nii.gz", *FBP, "-q", "-o", "out").code == 0
    told = run_recon("info", "out")
    assert told.code == 0
    assert "method: fbp" in told.out
    folder = run_recon("info", ROOT / "priors/pretrained/starter")
    assert folder.code == 0
    assert "autoencoder.safetensors: autoencoder" in folder.out
    Path("broken").mkdir()
    Path("broken/head.safetensors").write_bytes(b"\x09" + bytes(7) + b"{")
    damaged = run_recon("info", "broken")
    assert damaged.code == 0
    assert "head.safetensors: unusable" in damaged.out
