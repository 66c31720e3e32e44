"""``recon import`` and ``recon svct --sinogram`` as their users call them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import run_recon

from physics.ct.geometry import ImageGrid, ParallelBeam, circular_angles
from physics.ct.projector import CTProjector
from recon.io.sinogram import read_sinogram

ANGLES = circular_angles(30, 0, math.pi)


@pytest.fixture(autouse=True)
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Counts of a disc (30 views, 40 cells) in counts.npy, a flat, a scanner file and a list of angles."""
    monkeypatch.chdir(tmp_path)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 32)] * 2, indexing="ij")
    disc = 0.03 * ((x - 0.1).square() + (y + 0.2).square() < 0.3).float()
    clean = CTProjector(ParallelBeam(ANGLES, 1.0, 40, -1.0), ImageGrid((32, 32), (1.0, 1.0)))(disc[None])[0]
    generator = np.random.default_rng(0)
    np.save("counts.npy", generator.poisson(50000 * np.exp(-clean.double().numpy())).astype(np.uint32))
    np.save("flat.npy", generator.poisson(50000, (8, 1, 40)))
    Path("scanner.yaml").write_text("type: parallel\npitch_mm: 1.0\n")
    Path("angles.csv").write_text("angle\n" + "\n".join(f"{math.degrees(angle):.6f}" for angle in ANGLES))
    return clean.numpy()


IMPORT = ("import", "counts.npy", "--flat", "flat.npy", "--geometry", "scanner.yaml", "--angles", "angles.csv")


def test_from_counts_to_a_reconstruction(scan: np.ndarray) -> None:
    made = run_recon(*IMPORT, "--centre", 1.0, "--grid", "32,32", "--pixel", 1, "-o", "scan.h5")
    assert made.code == 0, made.err
    assert made.out.strip() == "scan.h5"
    assert "note: the axes of counts.npy, (30, 40), are taken as (views, cells)" in made.err
    sinogram = read_sinogram(Path("scan.h5"))
    np.testing.assert_allclose(sinogram.data[0], scan, atol=0.05)
    assert sinogram.geometry["offset"] == -1.0
    done = run_recon("svct", "--sinogram", "scan.h5", "--method", "fbp", "-o", "out", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["shape"] == [1, 32, 32]


def test_json_says_what_was_done() -> None:
    made = run_recon(*IMPORT, "--bin", 2, "--rings", "-o", "scan.h5", "--json")
    assert made.code == 0, made.err
    facts = json.loads(made.out)
    assert facts["geometry"]["pitch"] == 2.0
    assert facts["meta"]["bin"] == 2
    assert facts["meta"]["rings_removed"] is True
    assert facts["meta"]["flats"]["photons"] == pytest.approx(1e5, rel=0.5)
    assert facts["shape"] == [1, 20, 20]
    assert any("a grid of 20 x 20 pixels" in notice for notice in facts["notices"])


def test_svct_takes_another_geometry_and_centre() -> None:
    assert run_recon(*IMPORT, "-o", "scan.h5").code == 0
    Path("other.yaml").write_text("type: parallel\npitch_mm: 0.5\n")
    arguments = ("svct", "--sinogram", "scan.h5", "--method", "fbp", "--geometry", "other.yaml", "--centre", 0.5)
    done = run_recon(*arguments, "-o", "out", "--json")
    assert done.code == 0, done.err
    geometry = json.loads(done.out)["geometry"]
    assert (geometry["pitch"], geometry["offset"]) == (0.5, -0.5)
    assert len(geometry["angles"]) == 30
    assert "in place of the file's own" in done.err
    assert "as stated" in done.err


BAD = {
    "no file": (("import", "none.npy", "--geometry", "scanner.yaml"), "none.npy: no such file"),
    "no geometry": (("import", "counts.npy"), "--geometry: counts.npy does not state"),
    "no angles": (
        ("import", "counts.npy", "--geometry", "scanner.yaml"),
        "--geometry scanner.yaml: the entry 'angles'",
    ),
    "counts": (
        ("import", "counts.npy", "--geometry", "scanner.yaml", "--angles", "angles.csv"),
        "look like counts, not line integrals; give --minus-log and a --flat",
    ),
    "rows": ((*IMPORT, "--rows", "3-5"), "--rows 3-5: must be two whole numbers"),
    "grid": ((*IMPORT, "--grid", "3x3"), "--grid 3x3: must be two whole numbers"),
    "centre": ((*IMPORT, "--centre", "left"), "--centre left: must be auto or a number of mm"),
    "far centre": ((*IMPORT, "--centre", "99"), "--centre 99: not on the detector"),
    "bin": ((*IMPORT, "--bin", "0"), "--bin 0: must be 1 or more cells"),
    "centre of a volume": (("svct", "--centre", "auto"), "--centre is for measured data; it needs --sinogram"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_line_and_exit_code_2(case: str) -> None:
    arguments, words = BAD[case]
    run = run_recon(*arguments)
    assert (run.code, run.out) == (2, "")
    assert words in run.err
    assert len(run.err.strip().splitlines()) == 1
    assert not Path("sinogram.h5").exists()


def test_nothing_is_overwritten() -> None:
    Path("scan.h5").write_text("mine")
    run = run_recon(*IMPORT, "-o", "scan.h5")
    assert run.code == 2
    assert Path("scan.h5").read_text() == "mine"
