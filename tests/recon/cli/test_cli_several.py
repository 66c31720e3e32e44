"""Several methods in one run, pictures for a paper, units, and what result.json tells of the run."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cli_helpers import LPS, load, run_recon, write_ct, write_dicom, write_mr
from PIL import Image

import recon
from recon.cli.settings import parse_methods, settings_of
from recon.errors import InputError

SCAN = ("--geometry", "sparse20", "--simulate", "ideal")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)


def done(*arguments: object) -> dict[str, Any]:
    """The result.json of a command that must succeed and writes ``out``."""
    run = run_recon(*arguments, "-o", "out")
    assert run.code == 0, run.err
    content: dict[str, Any] = json.loads(Path("out/result.json").read_text(encoding="utf-8"))
    return content


def lab_sinogram(path: Path) -> Path:
    """A measured sinogram of a small disc, whose place in the room nobody stated."""
    write_ct(Path("ct.nii.gz"))
    assert run_recon("simulate", "svct", "ct.nii.gz", "--views", 30, "-q", "-o", path).code == 0
    with h5py.File(path, "a") as file:
        file.attrs["meta"] = "{}"
        del file.attrs["affine_mm"]
    return path


def test_several_methods_share_one_measurement_and_one_report(monkeypatch: pytest.MonkeyPatch) -> None:
    write_ct(Path("ct.nii.gz"))
    from recon.acquisition import ct

    measured: list[object] = []
    simulate = ct.simulate_ct
    monkeypatch.setattr(ct, "simulate_ct", lambda *given, **more: measured.append(given) or simulate(*given, **more))
    result = done("svct", "ct.nii.gz", *SCAN, "--method", "fbp,cgls,tv", "--set", "tv.iterations=5", "--photons", 1e5)
    assert len(measured) == 1
    names = {path.name for path in Path("out").iterdir()}
    volumes = {"recon-fbp.nii.gz", "recon-cgls.nii.gz", "recon-tv.nii.gz"}
    assert names == volumes | {"report.html", "result.json"}
    assert [each["method"] for each in result["results"]] == ["fbp", "cgls", "tv"]
    assert [each["output"] for each in result["results"]] == [f"out/recon-{m}.nii.gz" for m in ("fbp", "cgls", "tv")]
    assert result["method"] == "tv"
    assert result["metrics"] == result["results"][2]["metrics"]
    assert result["results"][2]["iterations"] == 5
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert all(f"{label} − ground truth" in page for label in ("FBP", "CGLS", "TV"))
    again = run_recon("svct", "ct.nii.gz", *SCAN, "--method", "fbp,tv", "--overwrite", "-q", "-o", "out")
    assert again.code == 0, again.err


def test_options_go_to_the_methods_that_have_them() -> None:
    methods = parse_methods("fbp, tv,sirt,tv")
    assert methods == ("fbp", "tv", "sirt")
    given = {"iterations": "3", "tv.weight": "2", "window": "hann"}
    assert settings_of("fbp", methods, given, "CT") == {"window": "hann"}
    assert settings_of("tv", methods, given, "CT") == {"iterations": "3", "weight": "2"}
    assert settings_of("sirt", methods, given, "CT") == {"iterations": "3"}
    write_ct(Path("ct.nii.gz"))
    run = run_recon("svct", "ct.nii.gz", *SCAN, "--method", "fbp,tv", "--set", "wieght=3")
    assert run.code == 2
    assert "the method has no such option" in run.err


def test_outcomes_of_different_scans_are_not_put_side_by_side() -> None:
    case = recon.load(write_ct(Path("ct.nii.gz")), "CT")
    scans = [recon.simulate_ct(case, "sparse20") for _ in range(2)]  # type: ignore[arg-type]
    first, second = (recon.reconstruct(scan, case, "fbp") for scan in scans)  # type: ignore[arg-type]
    for wrong, message in (([first, second], "two of them are by fbp"), ([], "at least one")):
        with pytest.raises(InputError, match=message):
            recon.save("out", wrong)
    other = recon.reconstruct(scans[1], case, "cgls")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="of different measurements"):
        recon.save("out", [first, other])
    assert not Path("out").exists()


def test_pictures_for_a_paper_have_every_voxel_letters_and_a_scale() -> None:
    write_ct(Path("ct.nii.gz"))
    done("svct", "ct.nii.gz", *SCAN, "--method", "fbp,cgls", "--png", "--window", "40,400", "--slices", "1,3-4")
    names = {path.name for path in Path("out/figures").iterdir()}
    assert {"axial-001.png", "axial-003-ground-truth.png", "axial-004-cgls.png", "axial-004-error-of-fbp.png"} <= names
    assert not any(name.startswith("axial-002") for name in names)
    pixels = np.asarray(Image.open("out/figures/axial-003-ground-truth.png"))
    assert pixels.shape == (28 + 24, 32 + 24, 3)
    truth = load("ct.nii.gz").get_fdata()[:, :, 2].T  # LPS, as radiologists look at it
    expected = np.clip((truth + 160) / 400 * 255, 0, 255).round()
    assert np.abs(pixels[12:-12, 12:-12, 0] - expected).max() <= 1
    margin = pixels.copy()
    margin[12:-12, 12:-12] = 0
    assert margin[12:40, :12].any()  # the letter R
    assert margin[-12:, 12:40].any()  # the scale
    for given, message in (
        (("--png", "--slices", "9"), "--slices 9: there are slices 1 to 4"),
        (
            ("--png", "--window", "flesh"),
            "--window flesh: must be CENTRE,WIDTH or one of soft-tissue, lung",
        ),
        (("--slices", "1"), "--slices is for pictures; it needs --png"),
    ):
        run = run_recon("svct", "ct.nii.gz", *SCAN, "--method", "fbp", *given, "-o", "other")
        assert run.code == 2
        assert message in run.err
        assert not Path("other").exists()


def test_a_result_tells_its_input_command_and_every_option() -> None:
    path = write_ct(Path("ct.nii.gz"))
    result = done("svct", path, *SCAN, "--method", "tv", "--set", "iterations=4")
    assert result["input_name"] == "ct.nii.gz"
    assert result["input_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result["command"].startswith("recon svct ct.nii.gz --geometry sparse20")
    assert datetime.fromisoformat(result["date"]).tzinfo is not None
    assert result["options"]["order"] is None, "the geometry's own"
    assert result["options"]["geometry"] == "sparse20"
    assert result["settings"] == {"iterations": 4}
    assert result["settings_resolved"]["tolerance"] > 0
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "recon svct ct.nii.gz" in page
    assert "tolerance=" in page


def test_a_result_of_a_sinogram_and_of_a_series_names_its_input() -> None:
    lab = lab_sinogram(Path("lab.h5"))
    result = done("svct", "--sinogram", lab, "--method", "fbp", "--model-error", "leave")
    assert (result["input"], result["input_name"]) == ("lab.h5", "lab.h5")
    assert result["input_sha256"] == hashlib.sha256(lab.read_bytes()).hexdigest()
    write_dicom(Path("series"))
    assert run_recon("svct", "series", *SCAN, "--method", "fbp", "-q", "-o", "dicom").code == 0
    assert len(json.loads(Path("dicom/result.json").read_text())["input_sha256"]) == 64


@pytest.mark.parametrize(("unit", "scale", "shift"), [("1/cm", 0.192 / 1000, 0.192), ("none", 0.0384 / 1000, 0.0384)])
def test_the_unit_of_measured_ct_can_be_chosen(unit: str, scale: float, shift: float) -> None:
    lab = lab_sinogram(Path("lab.h5"))
    common = ("svct", "--sinogram", lab, "--method", "fbp", "--model-error", "leave")
    assert run_recon(*common, "-q", "-o", "hu").code == 0
    result = done(*common, "--unit", unit)
    assert result["unit"] == unit
    hu, other = load("hu/recon.nii.gz").get_fdata(), load("out/recon.nii.gz").get_fdata()
    np.testing.assert_allclose(other, hu * scale + shift, atol=1e-5)
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "Soft tissue" not in page
    assert ("1/cm" in page) == (unit == "1/cm")
    assert " HU" not in page.split('id="images-heading"')[1].split('id="data-heading"')[0]
    refused = run_recon("svct", "ct.nii.gz", "--unit", unit)
    assert refused.code == 2
    assert "--unit is for measured data; it needs --sinogram" in refused.err


def test_letters_stand_on_patients_and_not_on_samples_of_a_lab() -> None:
    lab = lab_sinogram(Path("lab.h5"))
    done("svct", "--sinogram", lab, "--method", "fbp", "--model-error", "leave")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert 'class="letter' not in page
    assert load("out/recon.nii.gz").header["sform_code"] == 2
    assert run_recon("svct", "ct.nii.gz", *SCAN, "--method", "fbp", "-q", "-o", "patient").code == 0
    assert 'class="letter' in Path("patient/report.html").read_text(encoding="utf-8")


def test_the_report_shows_the_residual_against_what_was_taken_as_sigma() -> None:
    write_ct(Path("ct.nii.gz"))
    result = done("svct", "ct.nii.gz", *SCAN, "--method", "cgls", "--photons", 1e5, "--set", "iterations=2")
    spread = result["residual_over_sigma"]
    assert sum(spread["counts"]) % (4 * 20) == 0  # every cell of 20 views of 4 slices
    assert len(spread["edges"]) == len(spread["counts"]) + 1
    assert spread["rms"] > 2
    assert any("times the deviation that was taken of the data" in notice for notice in result["notices"])
    assert "Residual</h2>" in Path("out/report.html").read_text(encoding="utf-8")
    quiet = run_recon("svct", "ct.nii.gz", *SCAN, "--method", "cgls", "-q", "-o", "clean")
    assert quiet.code == 0
    assert json.loads(Path("clean/result.json").read_text())["residual_over_sigma"] is None
    assert "Residual</h2>" not in Path("clean/report.html").read_text(encoding="utf-8")


def test_mr_has_the_same() -> None:
    write_mr(Path("mr.nii.gz"), LPS)
    result = done("mri", "mr.nii.gz", "--mask", "gauss1d", "--accel", 2, "--method", "zero-filled,tv", "--png")
    assert [each["method"] for each in result["results"]] == ["zero-filled", "tv"]
    assert Path("out/figures/axial-002.png").is_file()
    assert result["unit"] is None
    assert 0 < result["residual_over_sigma"]["rms"] < 3
