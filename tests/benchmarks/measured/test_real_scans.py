"""Tables of real scans, on small stand-ins of the measured files that are generated here."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy.io import savemat

from benchmarks.cli import main
from benchmarks.measured import cells, page, spec, text
from benchmarks.measured.results import CellStore, MeasuredCell
from benchmarks.measured.scans import every_nth_view, held_out_places, prepare
from benchmarks.measured.scores import against_image, matthews_correlation, worse
from benchmarks.measured.spec import TABLES, MeasuredSpec, RowSpec, find_file, load_measured_spec
from physics.ct.geometry import FanBeam, ImageGrid, ParallelBeam, circular_angles
from physics.ct.projector import CTProjector
from physics.mr.cartesian import fft2c
from recon.errors import InputError
from recon.io.nifti.volume import write_volume
from recon.io.sinogram import Sinogram
from recon.methods import get_method
from recon.scan.measurement import RunContext
from recon.scan.volume import Volume

SIDE = 32

CT_TABLE = """
title: a few CT scans
modality: CT
rows:
  - name: limited angle
    file: measured/ct/limited.mat
    truth: measured/ct/truth.png
    score: segmentation
    projections: {grid: [16, 16], pixel_mm: 2.0}
  - name: rows of cells
    file: measured/ct/rows.h5
    score: all-views
    projections: {geometry: parallel.yaml, detector_row: 0, every: 4, lengths_known: false}
  - name: native
    file: ct/native.nii.gz
    score: truth
    volume: {geometry: limited90, grid: [16, 16]}
  - name: native (inverse crime)
    file: ct/native.nii.gz
    score: truth
    volume: {geometry: limited90, grid: [16, 16], simulate: ideal}
  - name: not here
    file: measured/ct/other.mat
    score: all-views
    projections: {}
"""
MR_TABLE = """
title: a few MR scans
modality: MR
rows:
  - name: complete, 2x
    file: mr/complete.npz
    score: truth
    kspace: {axes: cyx, mask: gauss1d, accel: 2}
  - name: undersampled
    file: mr/undersampled.npy
    score: held-out
    kspace: {axes: cyx}
  - name: raw data
    file: mr/scan.dat
    score: truth
    kspace: {mask: gauss1d, accel: 2}
"""


def blobs(side: int = SIDE) -> np.ndarray:
    """(y, x) bool of two discs, one of them to one side and near the end of the rows."""
    y, x = np.meshgrid(*(np.arange(side) - (side - 1) / 2,) * 2, indexing="ij")
    near = (y - 0.25 * side) ** 2 + (x + 0.1 * side) ** 2 < (0.15 * side) ** 2
    return near | ((y + 0.15 * side) ** 2 + (x - 0.2 * side) ** 2 < (0.2 * side) ** 2)


def write_challenge(folder: Path) -> None:
    """A fan-beam sinogram in the struct of the Helsinki challenge, and its segmentation as a picture."""
    geometry = FanBeam(circular_angles(40), 1.8, 48, source_isocentre=100.0, source_detector=150.0)
    sinogram = CTProjector(geometry, ImageGrid((SIDE, SIDE), (1.0, 1.0)))(
        torch.from_numpy(0.05 * blobs()[None]).float()
    )
    scanner = {
        "distanceSourceOrigin": 100.0,
        "distanceSourceDetector": 150.0,
        "distanceUnit": "mm",
        "pixelSizePost": 1.8,
        "angles": np.degrees(geometry.angles),
    }
    savemat(folder / "limited.mat", {"CtDataLimited": {"sinogram": sinogram[0].numpy(), "parameters": scanner}})
    Image.fromarray((blobs()[::-1] * 255).astype(np.uint8)).save(folder / "truth.png")  # rows run downwards


def write_counts(folder: Path) -> None:
    """Counts of two rows of a parallel beam, with flats, darks and angles in degrees, as Data Exchange has them."""
    angles = tuple(np.linspace(0, np.pi, 61))
    geometry = ParallelBeam(angles, 1.0, SIDE)
    image = torch.from_numpy(0.05 * blobs()[None]).float()
    lines = CTProjector(geometry, ImageGrid((SIDE, SIDE), (1.0, 1.0)))(image)[0].numpy()
    random = np.random.default_rng(0)
    counts = 100 + random.poisson(5e4 * np.exp(-lines))
    with h5py.File(folder / "rows.h5", "w") as file:
        file["exchange/data"] = np.stack([counts, counts], axis=1).astype(np.float32)
        file["exchange/data_white"] = 100 + random.poisson(5e4, (6, 2, SIDE)).astype(np.float32)
        file["exchange/data_dark"] = np.full((6, 2, SIDE), 100, np.float32)
        file["exchange/theta"] = np.degrees(angles)


def write_native(folder: Path) -> None:
    values = np.where(blobs(), 200.0, -1000.0)[None].repeat(2, 0)
    write_volume(
        folder / "native.nii.gz", Volume(torch.from_numpy(values).float(), np.diag([9.0, 9.0, 5.0, 1.0]), "CT")
    )


def write_kspace(folder: Path) -> None:
    """Two coils of a complete scan, and of one that was undersampled around a centre that is complete."""
    x = np.linspace(-1, 1, SIDE)
    coils = np.stack([np.broadcast_to(1 + 0.3 * side * x, (SIDE, SIDE)) for side in (1, -1)])
    data = fft2c(torch.from_numpy(coils * (blobs() + 0.2)).to(torch.complex64))
    data = data + 0.01 * torch.randn(data.shape, generator=torch.Generator().manual_seed(0), dtype=data.dtype)
    np.savez(folder / "complete.npz", kspace=data.numpy())
    mask = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[SIDE // 2 - 8 : SIDE // 2 + 8, SIDE // 2 - 8 : SIDE // 2 + 8] = True
    np.save(folder / "undersampled.npy", (data * mask).numpy())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for each in ("measured/ct", "ct", "mr"):
        (folder / each).mkdir(parents=True)
    write_challenge(folder / "measured/ct")
    write_counts(folder / "measured/ct")
    write_native(folder / "ct")
    write_kspace(folder / "mr")
    return folder


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small tables in place of the shipped ones."""
    (tmp_path / "real-ct.yaml").write_text(CT_TABLE)
    (tmp_path / "real-mr.yaml").write_text(MR_TABLE)
    monkeypatch.setattr(spec, "HERE", tmp_path)


def invoke(*arguments: object) -> tuple[int, str, str]:
    run = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return run.exit_code, run.stdout, run.stderr


def test_ct_scans_are_measured_and_scored_and_missing_ones_said(tmp_path, data, tables):
    arguments = ("run", "real-ct", "--data", data, "--methods", "tv,unet,auto", "--out", tmp_path / "out")
    code, out, err = invoke(*arguments)
    assert code == 0, err
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "left out: not here: measured/ct/other.mat: in none of the folders of --data" in lines
    assert "native (inverse crime)" in lines
    assert sum("refused: " in line for line in lines) >= 3, "U-Net was made for other scans"
    result = json.loads((tmp_path / "out/real-ct/results.json").read_text())
    rows = {row["name"]: {cell["method"]: cell for cell in row["cells"]} for row in result["rows"]}
    assert set(rows["limited angle"]) == {"fbp", "tv", "unet", "auto"}
    assert rows["limited angle"]["tv"]["scores"]["mcc"] > 0.7, "and so it is not upside down"
    assert rows["rows of cells"]["tv"]["scores"]["error"] < 1
    native = rows["native"]["tv"]
    assert {"psnr", "ssim", "psnr_soft_tissue", "ssim_soft_tissue"} == set(native["scores"])
    assert native["direct_scores"] == rows["native"]["fbp"]["scores"]
    assert native["worse_than_direct"] is (native["scores"]["psnr"] < native["direct_scores"]["psnr"])
    assert native["measurement_sha256"] != rows["native (inverse crime)"]["tv"]["measurement_sha256"]
    assert rows["limited angle"]["auto"]["taken"] == "tv"
    assert rows["limited angle"]["auto"]["scores"] == rows["limited angle"]["tv"]["scores"]
    assert [row["inverse_crime"] for row in result["rows"]] == [False, False, False, True]
    html = (tmp_path / "out/real-ct/index.html").read_text()
    assert "native (inverse crime)" in html
    assert html.count("<img") >= 12
    assert "http" not in html.replace('http-equiv="Content', "")


def test_a_run_is_resumed_by_hash(tmp_path, data, tables, monkeypatch):
    arguments = ("run", "real-ct", "--data", data, "--methods", "fbp", "--out", tmp_path)
    first = invoke(*arguments)
    assert first[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.measured.run.prepare", None)
        assert invoke(*arguments)[1] == first[1]
    path = next((tmp_path / "real-ct/cells").glob("*.json"))
    path.write_text(path.read_text().replace('"seconds": ', '"seconds": 9'))
    assert CellStore(path.parent).get(path.stem) is None, "it was changed"
    assert CellStore(path.parent).pictures("nothing") == {}
    assert invoke(*arguments)[0] == 0
    assert CellStore(path.parent).get(path.stem) is not None


def test_mr_scans_are_scored_by_their_image_or_by_held_out_samples(tmp_path, data, tables):
    code, out, err = invoke("run", "real-mr", "--data", data, "--methods", "cg-sense", "--out", tmp_path, "--json")
    assert code == 0, err
    result = json.loads(out)
    complete, undersampled = result["rows"]
    cell = complete["cells"][1]
    assert cell["worse_than_direct"] is (cell["scores"]["psnr"] < complete["direct_scores"]["psnr"])
    assert 0 < undersampled["cells"][1]["scores"]["held_out_error"] < 1
    assert undersampled["direct_scores"]["held_out_error"] > undersampled["cells"][1]["scores"]["held_out_error"]
    assert result["left_out"][0]["row"] == "raw data"


def test_held_out_samples_are_not_seen(data):
    row = RowSpec(name="a", file="mr/undersampled.npy", score="held-out", kspace={"axes": "cyx"})
    path = data / "mr/undersampled.npy"
    given = torch.from_numpy(np.load(path)).abs().sum(0) > 0
    seen = prepare(row, (path,)).scan.measurement.operator.mask
    held = given & ~seen
    assert 0.05 * int(given.sum()) < int(held.sum()) < 0.1 * int(given.sum())
    middle = slice(SIDE // 2 - 7, SIDE // 2 + 7)
    assert not held[middle, middle].any(), "coil sensitivities need the centre"
    with pytest.raises(InputError, match="too few to hold some out"):
        held_out_places(torch.ones(8, 8, dtype=torch.bool), 0)


def test_every_nth_view_keeps_its_angle_and_its_rays():
    geometry = ParallelBeam(tuple(np.linspace(0, 1, 9)), 1.0, 4)
    views = torch.arange(9.0)[None, :, None].expand(1, 9, 4)
    valid = views > 3
    part = every_nth_view(Sinogram(views, geometry.to_dict(), (1, 4, 4), np.eye(4), valid=valid), 4)
    assert part.data[0, :, 0].tolist() == [0, 4, 8]
    assert part.valid is not None
    assert part.valid[0, :, 0].tolist() == [False, True, True]
    assert list(part.geometry["angles"]) == [0, 0.5, 1]


def test_scores_are_what_they_say():
    truth = blobs()
    assert matthews_correlation(truth, truth) == pytest.approx(1)
    assert matthews_correlation(truth, ~truth) == pytest.approx(-1)
    assert matthews_correlation(truth, np.ones_like(truth)) == 0
    reference = torch.ones(1, 4, 4)
    grid = Volume(reference, np.eye(4), "CT")
    assert against_image(reference)(grid, 1.5 * reference)["error"] == pytest.approx(0.5)
    assert worse("all-views", {"error": 0.2}, {"error": 0.1}) is True
    assert worse("truth", {"psnr": 0.2}, {"psnr": 0.1}) is False
    assert worse("truth", {}, {"psnr": 0.1}) is None


def test_files_are_found_by_the_end_of_their_name(tmp_path):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct/scan.mat").write_text("")
    for folder in (tmp_path, tmp_path / "ct"):
        assert find_file("measured/ct/scan.mat", (folder,)) == tmp_path / "ct/scan.mat"
    assert find_file("measured/ct/other.mat", (tmp_path,)) is None


@pytest.mark.parametrize("name", TABLES)
def test_shipped_tables_are_valid_and_name_no_data_set_of_the_paper(name):
    found = load_measured_spec(name)
    assert found.rows
    for word in ("kits", "fastmri"):
        assert word not in (found.title + "".join(row.name for row in found.rows)).lower()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"kspace": {"mask": "poisson"}}, "one of projections, volume and kspace"),
        ({"score": "segmentation"}, "segmentation needs a truth"),
        ({"score": "held-out"}, "cannot be scored by held-out"),
        ({"name": "x (inverse crime)"}, "only there"),
    ],
)
def test_rows_that_cannot_be_are_refused(change, line):
    row = {"name": "x", "file": "y", "score": "all-views", "projections": {}}
    with pytest.raises(ValueError, match=line):
        RowSpec.model_validate(row | change)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "real-ct"], "--data: real-ct looks at measured scans"),
        (["run", "real-ct", "--data", "/nowhere"], "--data /nowhere: no such folder"),
        (["run", "real-ct", "--data", "/tmp", "--split", "val"], "--split: has no effect on real-ct"),
        (["run", "table9", "--data", "/tmp"], "--data: is for real-ct and real-mr"),
        (["run", "real-mr", "--data", "/tmp", "--methods", "tvv"], "--methods tvv: no such MR method"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(arguments, line):
    code, _, err = invoke(*arguments)
    assert code == 2
    assert line in err


def test_none_of_the_files_is_an_error(tmp_path):
    code, _, err = invoke("run", "real-ct", "--data", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "--data: no row of real-ct can be measured" in err.splitlines()[-1]


def test_the_page_says_what_a_foreign_text_says_and_obeys_nothing(tmp_path):
    from benchmarks.measured.results import MeasuredResult, RowResult

    cell = MeasuredCell("k", "tv", "tv", {}, refused="<script>")
    row = RowResult("<b>", "file", "truth", False, "fbp", {}, (cell,), {"tv": None})
    result = MeasuredResult("real-ct", "title", "CT", (row,), (("x", "<i>"),))
    html = page.page(result, CellStore(tmp_path))
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;i&gt;" in html
    assert "refused: <script>" in text.table(result)


def test_a_key_follows_from_the_row_its_files_the_method_and_networks(data):
    row = next(row for row in MeasuredSpec.model_validate_json(json.dumps(_plain(CT_TABLE))).rows)
    files = tuple(data / name for name in row.files)
    key = cells.cell_key(row, files, "tv")
    assert key == cells.cell_key(row.model_copy(update={"name": "other"}), files, "tv")
    assert len({key, cells.cell_key(row, files, "fbp"), cells.cell_key(row, files, "auto")}) == 3
    assert key != cells.cell_key(row, files[::-1], "tv")


def _plain(yaml_text: str) -> object:
    import yaml

    return yaml.safe_load(yaml_text)


def test_a_measured_brain_is_scored_by_held_out_samples(shared):
    row = next(row for row in load_measured_spec("real-mr").rows if row.score == "held-out")
    path = find_file(row.file, (shared / "data",))
    if path is None:
        pytest.skip(f"{row.file} is not in ../shared/data")
    prepared = prepare(row, (path,))
    direct = get_method("MR", "zero-filled")
    image = direct.run(prepared.scan.measurement, direct.options(), RunContext()).mean
    error = prepared.score(prepared.scan.grid, image)["held_out_error"]
    assert error is not None
    assert 0.3 < error < 1


def test_requests_name_methods_once():
    assert cells.columns("CT", ("tv", "fbp")) == ["fbp", "tv"]
    assert cells.columns("MR", ())[:2] == ["zero-filled", "auto"]
    assert "meddiffusion" in cells.columns("CT", ())
