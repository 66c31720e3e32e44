"""What docs/sinograms.md shows runs, and its picture is the one that the geometry draws."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_helpers import run_recon

from physics.ct.protocol import parse_protocol
from recon.io.nifti.volume import read_volume
from recon.io.sinogram import read_sinogram
from recon.scan.units import MU_WATER

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "sinograms.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "docs/sinograms.md", "exec"), {})
    sinogram = read_sinogram(Path("scan.h5"))
    assert sinogram.valid is not None
    assert int((~sinogram.valid).sum()) == 90 + 120 - 1
    run = run_recon("svct", "--sinogram", "scan.h5", "--method", "fbp", "-o", "out", "--quiet")
    assert run.code == 0, run.err
    middle = read_volume(Path("out/recon.nii.gz"), "CT").data[0, 24:40, 24:40]
    assert float(middle.mean()) == pytest.approx(1000 * (0.02 / MU_WATER - 1), abs=15)


def test_the_geometries_are_geometries() -> None:
    scanners = [yaml.safe_load(text) for text in blocks("yaml")]
    assert [parse_protocol(scanner, [0.0, 1.0]).views for scanner in scanners] == [181, 2]


def test_the_challenge_has_that_geometry(shared: Path) -> None:
    from recon.io.projections.read import read_projections

    stated = read_projections([shared / "data/measured/ct/tb_subsample_90.mat"]).geometry
    written = parse_protocol(yaml.safe_load(blocks("yaml")[0]))
    assert stated is not None
    np.testing.assert_allclose(stated.angles, written.angles, atol=1e-9)
    assert (stated.kind, stated.pitch) == (written.kind, written.pitch)


def test_the_options_are_options() -> None:
    listed = set(re.findall(r"--[a-z][a-z-]+", PAGE.split("## Importing")[1]))
    known = run_recon("import", "--help").out + run_recon("svct", "--help").out
    assert [option for option in sorted(listed) if option not in known] == []


def test_the_picture_is_up_to_date() -> None:
    drawn = runpy.run_path(str(DOCS / "draw_geometry.py"))["picture"]()
    assert drawn == (DOCS / "geometry.svg").read_text(encoding="utf-8")


def test_a_disc_beside_the_isocentre_is_where_the_conventions_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small disc at x = 10 mm, y = 15 mm: the image has it at those places, rows growing with y."""
    import h5py

    monkeypatch.chdir(tmp_path)
    beta, cells, offset = np.radians(np.arange(60) * 6.0), 80, 4.0
    position = np.arange(cells) - (cells - 1) / 2 + offset
    source = 200 * np.stack([np.sin(beta), -np.cos(beta)], 1)
    axis = np.stack([np.cos(beta), np.sin(beta)], 1)
    target = -source[:, None] * (320 / 200 - 1) + position[None, :, None] * axis[:, None]
    ray = target - source[:, None]
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    to_disc = np.array([10.0, 15.0]) - source[:, None]
    distance = np.abs(ray[..., 0] * to_disc[..., 1] - ray[..., 1] * to_disc[..., 0])
    with h5py.File("scan.h5", "w") as file:
        file["sinogram"] = 0.04 * np.sqrt(np.clip(4.0**2 - distance**2, 0, None))
        geometry = {"type": "fan", "source_isocentre_mm": 200, "source_detector_mm": 320, "pitch_mm": 1.0}
        file.attrs["geometry"] = json.dumps(geometry | {"offset_mm": offset, "angles_rad": beta.tolist()})
        file.attrs["shape"], file.attrs["spacing_mm"] = (1, 41, 41), (1.0, 1.0, 1.0)
    assert run_recon("svct", "--sinogram", "scan.h5", "--method", "fbp", "-o", "out").code == 0
    image = read_volume(Path("out/recon.nii.gz"), "CT").data[0].numpy()
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert abs(row - (20 + 15)) <= 3
    assert abs(column - (20 + 10)) <= 3
