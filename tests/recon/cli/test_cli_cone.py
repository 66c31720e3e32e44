"""Cone beams from the command line, end to end at toy size: simulated, written, imported, reconstructed, reported."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import yaml
from cli_helpers import run_recon
from cone_geometries import cone

from physics.ct.cone.ellipsoids import Ellipsoid, ellipsoid_line_integrals, ellipsoid_volume
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.views import views_of
from physics.ct.protocol import dump_protocol
from recon.io.nifti.volume import read_volume
from recon.io.sinogram import read_sinogram
from recon.scan.units import MU_WATER

GRID = VolumeGrid((16, 20, 20), (2.0, 2.0, 2.0))
BALL = [Ellipsoid((0.0, 0.0, 0.0), (13.0, 13.0, 13.0), MU_WATER)]
SCANNER = {
    "type": "cone",
    "source_isocentre_mm": 100,
    "source_detector_mm": 180,
    "pitch_mm": 3,
    "angles": {"views": 40},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ball of water in volume.nii.gz, and a scanner in my_cone.yaml."""
    monkeypatch.chdir(tmp_path)
    hu = 1000 * (ellipsoid_volume(BALL, GRID).numpy() / MU_WATER - 1)
    nibabel.save(nibabel.Nifti1Image(hu.transpose(2, 1, 0), np.diag([2.0, 2.0, 2.0, 1.0])), "volume.nii.gz")
    Path("my_cone.yaml").write_text(yaml.safe_dump(SCANNER))


def centre_hu(path: str) -> float:
    """Mean of the ball's inner voxels in a result."""
    data = read_volume(Path(path), "CT").data
    z, y, x = (n // 2 for n in data.shape)
    return float(data[z - 2 : z + 2, y - 2 : y + 2, x - 2 : x + 2].mean())


def test_a_volume_is_scanned_and_reconstructed_by_the_default_method() -> None:
    done = run_recon(
        "svct",
        "--geometry",
        "my_cone.yaml",
        "--input",
        "volume.nii.gz",
        "-o",
        "out",
        "--json",
        "--set",
        "iterations=60",
    )
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["method"], result["baseline"]["method"]) == ("tv", "fdk")
    assert result["metrics"]["psnr"] > 24
    assert result["geometry"]["type"] == "cone"
    assert done.err.count("the model error of the voxels was left in the data") == 1
    page = Path("out/report.html").read_text()
    for words in ("Cone-beam CT: TV", "First view: ", "Sinogram: 40 views", "cone beam onto a flat detector"):
        assert words in page or words.capitalize() in page


def test_a_scan_in_a_file_is_told_about_and_reconstructed() -> None:
    made = run_recon("simulate", "svct", "--geometry", "my_cone.yaml", "-i", "volume.nii.gz", "-o", "scan.h5")
    assert made.code == 0, made.err
    told = run_recon("info", "scan.h5")
    assert "rows, views, cells" in told.out
    assert "cone beam onto a flat detector" in told.out.lower()
    done = run_recon(
        "svct", "--sinogram", "scan.h5", "-o", "out", "--method", "fdk,sirt", "--set", "sirt.iterations=20"
    )
    assert done.code == 0, done.err
    assert centre_hu("out/recon-fdk.nii.gz") == pytest.approx(0, abs=25)
    assert centre_hu("out/recon-sirt.nii.gz") == pytest.approx(0, abs=60)


@pytest.mark.parametrize("kind", ["stack.npy", "stack.tif"])
def test_a_stack_of_counts_is_imported_and_reconstructed(kind: str) -> None:
    geometry = cone(40, pitch=1.5, row_pitch=1.5, cells=48, rows=40)
    counts = np.random.default_rng(0).poisson(40000 * np.exp(-ellipsoid_line_integrals(BALL, geometry).numpy()))
    stack = counts.transpose(1, 0, 2).astype(np.uint16)  # views, rows, cells, as detectors write them
    np.save(kind, stack) if kind.endswith("npy") else tifffile.imwrite(kind, stack, photometric="minisblack")
    values = SCANNER | {"pitch_mm": 1.5}
    Path("panel.yaml").write_text(yaml.safe_dump(values))
    axes = ("--axes", "vzc")
    made = run_recon(
        *("import", kind, "--geometry", "panel.yaml", "--flat", "40000", "--bin", 2, *axes),
        *("--grid", "20,20", "--pixel", 2, "--slices", 16, "-o", "scan.h5"),
    )
    assert made.code == 0, made.err
    scan = read_sinogram(Path("scan.h5"))
    assert tuple(scan.data.shape) == (20, 40, 24)
    assert scan.shape == (16, 20, 20)
    assert (scan.geometry["pitch"], scan.geometry["row_pitch"]) == (3.0, 3.0)
    done = run_recon("svct", "--sinogram", "scan.h5", "-o", "out", "--method", "tv", "--set", "iterations=60")
    assert done.code == 0, done.err
    assert centre_hu("out/recon.nii.gz") == pytest.approx(0, abs=40)


def test_the_axis_is_found_and_the_grid_is_what_the_detector_sees() -> None:
    geometry = cone(48, offset=2.0, cells=60, pitch=1.5, rows=16)
    body = [Ellipsoid((4.0, 3.0, 0.0), (9.0, 6.0, 13.0), 0.02), Ellipsoid((-7.0, -5.0, 0.0), (3.0, 4.0, 8.0), 0.03)]
    body += [Ellipsoid((9.0, 2.0, 0.0), (2.0, 2.0, 5.0), 0.04)]
    Path("my_cone.yaml").write_text(
        yaml.safe_dump(SCANNER | {"pitch_mm": 1.5, "row_pitch_mm": 3, "angles": {"views": 48}})
    )
    np.save("lines.npy", ellipsoid_line_integrals(body, geometry).numpy())
    made = run_recon(
        *("import", "lines.npy", "--geometry", "my_cone.yaml", "--no-minus-log", "--axes", "zvc", "--centre", "auto"),
        *("-o", "scan.h5"),
    )
    assert made.code == 0, made.err
    scan = read_sinogram(Path("scan.h5"))
    assert scan.geometry["offset"] == pytest.approx(2.0, abs=0.4)
    assert "slices, which the detector sees at the axis of rotation" in made.err
    assert scan.shape[0] == 32


@pytest.mark.parametrize("changes", [{"feed": 10.0}, {"roll": 0.05, "tilt": 0.05}, {"curved": True}])
def test_helices_rolled_and_curved_detectors(changes: dict[str, float]) -> None:
    Path("other.yaml").write_text(dump_protocol(cone(30, rows=20, cells=30, **changes)))
    done = run_recon("svct", "volume.nii.gz", "--geometry", "other.yaml", "-o", "out", "--method", "os-sirt+dc")
    assert done.code == 0, done.err


def test_views_as_vectors_and_the_inverse_crime() -> None:
    Path("vectors.yaml").write_text(dump_protocol(views_of(cone(30, rows=24))))
    done = run_recon(
        *(
            "svct",
            "volume.nii.gz",
            "--geometry",
            "vectors.yaml",
            "--simulate",
            "ideal",
            "-o",
            "out",
            "--method",
            "cgls",
        ),
        "--json",
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"]["psnr"] > 25


def test_dead_cells_noise_and_gains_are_simulated() -> None:
    done = run_recon(
        *("svct", "volume.nii.gz", "--geometry", "my_cone.yaml", "--photons", "1e5", "--dead-cells", "0.02"),
        *("--gain-error", "0.01", "--scatter", "0.05", "-o", "out", "--method", "sart"),
    )
    assert done.code == 0, done.err


SVCT = ("svct", "volume.nii.gz", "--geometry")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SVCT, "my_cone.yaml", "--method", "fbp"), "--method fbp: works slice by slice, and the rays of a cone beam"),
        ((*SVCT, "my_cone.yaml", "--method", "fbpconv"), "--method fbpconv: works slice by slice"),
        ((*SVCT, "my_cone.yaml", "--method", "meddiffusion"), "--method meddiffusion: works slice by slice"),
        ((*SVCT, "paper40", "--method", "fdk"), "--method fdk: is for cone beams"),
        ((*SVCT, "my_cone.yaml", "--model-error", "correct"), "--model-error correct: is for scans of single slices"),
        ((*SVCT, "my_cone.yaml", "--focal-spot", "1"), "--focal-spot: is simulated for fan beams only"),
        ((*SVCT, "vectors.yaml", "--views", "3"), "the views of vectors.yaml are given as vectors"),
        ((*SVCT, "near.yaml"), "reach the source"),
        ((*SVCT, "helix.yaml"), "rows of a helical scan must be stated"),
        (("import", "lines.npy", "--geometry", "my_cone.yaml", "--rows", "0:2"), "--rows: a cone beam needs all"),
        (("import", "lines.npy", "--geometry", "fan.yaml", "--slices", "2"), "--slices: is for cone beams"),
        (("import", "lines.npy", "--geometry", "my_cone.yaml", "--slices", "0"), "--slices 0: must be 1 or more"),
        (("import", "lines.npy", "--geometry", "rows.yaml"), "3 detector rows, but the geometry has 5"),
        (("import", "lines.npy", "--geometry", "vectors.yaml", "--centre", "1"), "--centre: the views are given as"),
        (("train", "fbpconv", "--task", "svct", "--geometry", "my_cone.yaml"), ""),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_option(arguments: tuple[str, ...], message: str) -> None:
    np.save("lines.npy", np.random.default_rng(0).random((3, 40, 9), np.float32))
    Path("vectors.yaml").write_text(dump_protocol(views_of(cone(40, rows=3, cells=9))))
    Path("near.yaml").write_text(yaml.safe_dump(SCANNER | {"source_isocentre_mm": 20}))
    Path("helix.yaml").write_text(yaml.safe_dump(SCANNER | {"feed_mm": 10}))
    Path("fan.yaml").write_text(yaml.safe_dump(SCANNER | {"type": "fan"}))
    Path("rows.yaml").write_text(yaml.safe_dump(SCANNER | {"rows": 5}))
    run = run_recon(*arguments, "-o", "out") if arguments[0] != "train" else run_recon(*arguments)
    assert run.code == 2, run.err
    assert message in run.err
    assert "Traceback" not in run.err
    assert not Path("out").exists()
