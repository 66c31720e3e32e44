"""``recon mri`` on scans with two phase encodings, several echoes, and partial Fourier; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_helpers import run_recon

from physics.mr.birdcage import birdcage_maps
from physics.mr.cartesian_3d import fft3c
from physics.mr.masks import make_mask

SHAPE = (24, 20, 28)  # partitions, phase encoding, readout


def kspace() -> np.ndarray:
    """(partitions, coils, y, x) 3D k-space of an ellipsoid, seen by four coils."""
    z, y, x = (torch.linspace(-1, 1, n) for n in SHAPE)
    body = torch.sigmoid(15 * (0.8 - (z[:, None, None] ** 2 + y[:, None] ** 2 + x**2).sqrt()))
    maps = birdcage_maps(4, SHAPE[1:])
    noise = torch.randn(SHAPE[0], 4, *SHAPE[1:], dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return (fft3c(body[:, None] * maps) + 0.003 * noise).numpy()


def test_a_caipi_scan_becomes_slices_along_its_readout(tmp_path: Path) -> None:
    mask = make_mask("caipi", SHAPE[:2], 4, 10).array.numpy()
    np.save(tmp_path / "k.npy", kspace() * mask[:, None, :, None])
    given = ("mri", tmp_path / "k.npy", "--axes", "pcyx", "--method", "cg-sense")
    found = run_recon(*given, "--coils-compressed", 3, "--compression", "geometric", "-o", tmp_path / "out")
    assert found.code == 0, found.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["true_acceleration"] == pytest.approx(mask.size / mask.sum())
    assert result["shape"] == [SHAPE[2], *SHAPE[:2]]
    assert "the readout was transformed" in " ".join(result["notices"])
    assert (tmp_path / "out" / "report.html").exists()


def test_an_echo_with_partial_fourier(tmp_path: Path) -> None:
    volume = kspace()[SHAPE[0] // 2 - 1 : SHAPE[0] // 2 + 1].transpose(3, 2, 1, 0)  # readout, phase, coils, slices
    volume[:, 16:] = 0
    stored = volume.reshape(SHAPE[2], SHAPE[1], 1, 4, *([1] * 9), 2)
    several = np.concatenate([stored, 2 * stored], axis=5)
    (tmp_path / "k.hdr").write_text(f"# Dimensions\n{' '.join(map(str, several.shape))}\n")
    several.astype(np.complex64).ravel(order="F").tofile(tmp_path / "k.cfl")
    refused = run_recon("mri", tmp_path / "k.cfl", "-o", tmp_path / "out")
    assert refused.code == 2
    assert "choose one with --contrast: 0, 1" in refused.err
    given = ("mri", tmp_path / "k.cfl", "--contrast", 1, "--method", "zero-filled,homodyne,pocs")
    found = run_recon(*given, "-o", tmp_path / "out")
    assert found.code == 0, found.err
    assert "partial Fourier" in found.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--contrast", 1), "--contrast 1"),
        (("--repetition", "last"), "--repetition last: must be a whole number from 0, or average"),
        (("--matrix", "8,8"), "--matrix: is for samples along a trajectory"),
        (("--mask", "caipi", "--accel", 2.5), "--mask caipi: caipi takes points of a lattice"),
        (("--compression", "geometric", "--coils-compressed", 9), "--coils-compressed 9: must be 1 to 4"),
        (("--compression", "svd"), "--compression svd: has no effect where all coils are kept (4); give --coils-compr"),
    ],
)
def test_refused(tmp_path: Path, given: tuple[object, ...], message: str) -> None:
    np.save(tmp_path / "k.npy", kspace()[12:14])
    found = run_recon("mri", tmp_path / "k.npy", "--axes", "zcyx", *given, "-o", tmp_path / "out")
    assert found.code == 2
    assert message in found.err
    assert found.err.count("\n") <= 1
