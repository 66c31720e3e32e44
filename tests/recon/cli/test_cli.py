"""The command line end to end: every command on a small scan of every kind."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
from cli_helpers import LPS, Run, body, kspace, load, run_recon, write_ct, write_dicom, write_fastmri, write_mr

from recon.run import provenance

IDEAL = ("--simulate", "ideal")
FBP = ("--method", "fbp", *IDEAL)
"""A quick run, where no test is about how the scan is made."""
ZERO = ("--method", "zero-filled", "--mask", "gauss1d", "--accel", 2)

DESIGNED = (
    *("task", "method", "input", "output", "metrics", "baseline", "geometry", "mask", "true_acceleration", "noise"),
    *("seed", "seconds", "peak_rss_mb", "device", "versions", "commit", "weights_sha256", "convention"),
)
EXTRAS = {
    *(
        "model_error",
        "settings",
        "shape",
        "spacing_mm",
        "iterations",
        "notices",
        "files",
        "sigma",
        "simulation",
        "unit",
    ),
    *(
        "input_name",
        "input_sha256",
        "date",
        "command",
        "options",
        "settings_resolved",
        "residual_over_sigma",
        "results",
    ),
}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in an empty folder of its own; the state of the checkout does not matter to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(provenance, "commit", lambda: None)


def done(*arguments: object) -> Run:
    """A command that must succeed."""
    result = run_recon(*arguments)
    assert result.code == 0, result
    return result


def read_json(path: Path) -> dict[str, Any]:
    """Strict JSON: NaN and infinity are no numbers."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {path}")

    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return content


def assert_is_number(value: object) -> None:
    assert isinstance(value, int | float)
    assert not isinstance(value, bool)
    assert math.isfinite(value)


def test_result_json_has_the_designed_keys_and_numbers() -> None:
    write_ct(Path("ct.nii.gz"))
    done("svct", "-i", "ct.nii.gz", "--method", "cgls", "--views", 20, "--photons", 1e5, "--seed", 3, "-o", "out")
    result = read_json(Path("out/result.json"))
    assert set(result) == set(DESIGNED) | EXTRAS
    assert (result["task"], result["method"], result["input"]) == ("svct", "cgls", "ct.nii.gz")
    assert (result["output"], result["seed"], result["shape"]) == ("out/recon.nii.gz", 3, [4, 28, 32])
    assert result["baseline"]["method"] == "fbp"
    for name in ("psnr", "ssim", "residual", "nmse"):
        assert_is_number(result["metrics"][name])
        assert_is_number(result["baseline"][name])
    for name in ("seconds", "peak_rss_mb", "iterations"):
        assert_is_number(result[name])
    assert result["noise"] == {"photons": 1e5, "electronic": 0.0}
    assert len(result["geometry"]["angles"]) == 20
    assert result["versions"]["torch"]
    assert all(result[name] is None for name in ("mask", "true_acceleration", "weights_sha256", "commit"))


def test_a_better_method_beats_the_baseline_and_the_files_agree_with_the_figures() -> None:
    write_ct(Path("ct.nii.gz"))
    done("svct", "-i", "ct.nii.gz", "--method", "tv", "-o", "out")
    result = read_json(Path("out/result.json"))
    assert result["method"] == "tv"
    assert result["metrics"]["psnr"] > result["baseline"]["psnr"] + 3
    found = np.clip(load("out/recon.nii.gz").get_fdata(), -1000, 1000)
    error = np.mean((found - np.clip(body(), -1000, 1000)) ** 2)
    assert result["metrics"]["psnr"] == pytest.approx(10 * np.log10(2000**2 / error), abs=0.01)


def test_the_default_is_the_shipped_head_and_beats_the_baseline() -> None:
    write_ct(Path("ct.nii.gz"))
    printed = done("svct", "-i", "ct.nii.gz", "--simulate", "ideal", "-o", "out")
    result = read_json(Path("out/result.json"))
    assert result["method"] == "meddiffusion"
    assert {"head", "refiner", "autoencoder.safetensors", "biflownet.safetensors"} <= set(result["weights_sha256"])
    assert result["metrics"]["psnr"] > result["baseline"]["psnr"] + 3
    assert "note: " not in printed.err


def test_the_default_output_is_named_after_the_case() -> None:
    write_ct(Path("case.nii.gz"))
    printed = done("svct", "-i", "case.nii.gz", *FBP)
    assert printed.out.splitlines()[-1] == "report: recon-case-svct-paper40-40views-fbp/report.html"
    names = {path.name for path in Path("recon-case-svct-paper40-40views-fbp").iterdir()}
    assert names == {"recon.nii.gz", "result.json", "report.html"}


def test_quiet_prints_the_folder_and_json_prints_json() -> None:
    write_ct(Path("ct.nii.gz"), (body() + 1000).astype(np.int16))  # warned about, but not when quiet
    quiet = done("svct", "-i", "ct.nii.gz", *FBP, "--quiet", "-o", "out")
    assert (quiet.out, quiet.err) == ("out\n", "")
    machine = done("svct", "-i", "ct.nii.gz", *FBP, "--json", "-o", "other")
    assert json.loads(machine.out) == read_json(Path("other/result.json"))
    assert "no value is below 0 HU" in machine.err


def test_the_same_seed_gives_the_same_bytes() -> None:
    write_ct(Path("ct.nii.gz"))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        done("svct", "-i", "ct.nii.gz", *FBP, "--photons", 1e4, "--seed", seed, "-q", "-o", name)
    first, again, other = (Path(name, "recon.nii.gz").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_overwrite_replaces_the_whole_folder() -> None:
    write_ct(Path("ct.nii.gz"))
    done("svct", "-i", "ct.nii.gz", *FBP, "-q", "-o", "out", "--views", 10)
    done("svct", "-i", "ct.nii.gz", *FBP, "-q", "-o", "out", "--views", 12, "--overwrite")
    assert len(read_json(Path("out/result.json"))["geometry"]["angles"]) == 12
    assert sorted(path.name for path in Path().iterdir()) == ["ct.nii.gz", "out"]


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR"])
def test_the_result_lies_on_the_inputs_grid(codes: str) -> None:
    orientation = nibabel.orientations.axcodes2ornt(codes)
    plain = nibabel.Nifti1Image(body(), np.diag([2.0, 2.0, 3.0, 1.0]))
    turned = plain.as_reoriented(nibabel.orientations.ornt_transform(orientation, [[0, 1], [1, 1], [2, 1]]))
    nibabel.save(turned, "ct.nii.gz")
    done("svct", "-i", "ct.nii.gz", "--method", "tv", *IDEAL, "-q", "-o", "out")
    result = load("out/recon.nii.gz")
    np.testing.assert_array_equal(result.affine, turned.affine)
    assert result.shape == turned.shape
    assert np.abs(result.get_fdata() - turned.get_fdata()).mean() < 60


def test_a_sinogram_is_reconstructed_without_a_truth() -> None:
    write_ct(Path("ct.nii.gz"))
    done("simulate", "svct", "-i", "ct.nii.gz", "--views", 60, "--photons", 1e6, "-q", "-o", "scan.h5")
    printed = done("svct", "--sinogram", "scan.h5", "--method", "sirt", "--set", "iterations=50", "-o", "out")
    result = read_json(Path("out/result.json"))
    assert result["metrics"]["psnr"] is None
    assert result["metrics"]["ssim"] is None
    assert 0 < result["metrics"]["residual"] < 0.02
    assert 0 < result["baseline"]["residual"] < 0.02
    assert result["noise"]["photons"] == 1e6
    assert result["iterations"] == 50
    assert result["settings"] == {"iterations": 50}
    assert "PSNR" not in printed.out
    assert "data residual" in printed.out
    found = nibabel.as_closest_canonical(load("out/recon.nii.gz")).get_fdata()
    truth = nibabel.as_closest_canonical(load("ct.nii.gz")).get_fdata()
    assert np.abs(found - truth).mean() < 100


def test_a_dicom_folder_becomes_a_derived_series() -> None:
    write_dicom(Path("series"))
    done("svct", "-i", "series", "--dicom", *FBP, "--views", 200, "-o", "out")
    slices = sorted((pydicom.dcmread(path) for path in Path("out/dicom").iterdir()), key=lambda s: s.InstanceNumber)
    assert [s.ImageType[0] for s in slices] == ["DERIVED"] * 4
    assert slices[0].SeriesInstanceUID != "1.2.3.4567"
    assert slices[0].PatientName == "Phantom^A"
    found = np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices])
    assert np.abs(found - body().transpose(2, 1, 0)).mean() < 60
    assert "not for diagnosis" in slices[0].SeriesDescription


def test_several_series_are_listed_and_one_is_taken() -> None:
    write_dicom(Path("mixed"), "1.2.3.1111")
    write_dicom(Path("mixed"), "1.2.3.2222")
    refused = run_recon("svct", "-i", "mixed", *FBP)
    assert refused.code == 2
    assert "--series" in refused.err
    assert "2222" in refused.err
    done("svct", "-i", "mixed", *FBP, "--series", "2222", "-q")
    assert Path("recon-mixed-svct-paper40-40views-fbp").is_dir()


def test_a_geometry_file_and_golden_views() -> None:
    write_ct(Path("ct.nii.gz"))
    Path("mine.yaml").write_text("type: parallel\npitch_mm: 1.5\nangles: {views: 30, arc_deg: 180}\n")
    done("svct", "-i", "ct.nii.gz", *FBP, "--geometry", "mine.yaml", "-q", "-o", "a")
    done("svct", "-i", "ct.nii.gz", *FBP, "--order", "golden", "--views", 31, "-q", "-o", "b")
    assert "arallel" in read_json(Path("a/result.json"))["geometry"]["description"]
    angles = read_json(Path("b/result.json"))["geometry"]["angles"]
    assert len(angles) == 31
    assert (angles[1] - angles[0]) % (2 * math.pi) == pytest.approx(math.pi * (math.sqrt(5) - 1))


def test_mr_from_a_magnitude_volume_says_so_everywhere() -> None:
    write_mr(Path("mr.nii.gz"))
    printed = done("mri", "-i", "mr.nii.gz", *ZERO, *IDEAL, "-o", "out")
    result = read_json(Path("out/result.json"))
    assert "simulated from magnitude" in printed.err
    assert any("simulated from magnitude" in notice for notice in result["notices"])
    assert "simulated from magnitude" in Path("out/report.html").read_text(encoding="utf-8")
    assert result["true_acceleration"] == 2.0
    assert "true acceleration 2.000" in printed.out
    assert result["mask"]["kind"] == "gauss1d"
    assert result["geometry"] is None
    assert load("out/recon.nii.gz").shape == (48, 40, 3)
    np.testing.assert_array_equal(load("out/recon.nii.gz").affine, LPS)


def test_everything_sampled_gives_the_truth_and_finite_figures() -> None:
    write_mr(Path("mr.nii.gz"))
    done("mri", "-i", "mr.nii.gz", "--method", "zero-filled", "--mask", "gauss1d", "--accel", 1, *IDEAL, "-o", "out")
    result = read_json(Path("out/result.json"))
    assert result["true_acceleration"] == 1.0
    assert result["metrics"]["psnr"] is None or result["metrics"]["psnr"] > 90


def test_a_true_acceleration_that_is_not_the_nominal_one_is_the_one_reported() -> None:
    write_mr(Path("mr.nii.gz"))
    columns = np.arange(48) % 3 == 0
    np.save("mask.npy", np.broadcast_to(columns, (40, 48)))
    done("mri", "-i", "mr.nii.gz", "--method", "zero-filled", "--mask", "equispaced-legacy", "--accel", 3, "-o", "a")
    result = read_json(Path("a/result.json"))
    assert result["true_acceleration"] != 3.0
    assert result["mask"]["accel"] == 3.0
    done("mri", "-i", "mr.nii.gz", "--method", "zero-filled", "--mask", "mask.npy", "-o", "b")
    assert read_json(Path("b/result.json"))["true_acceleration"] == 3.0


def test_simulated_kspace_is_reconstructed_as_it_was_sampled() -> None:
    write_mr(Path("mr.nii.gz"))
    done("simulate", "mri", "-i", "mr.nii.gz", *ZERO[2:], *IDEAL, "-q", "-o", "k.h5")
    with h5py.File("k.h5") as file:
        sampled = np.abs(file["kspace"][:]).sum(axis=(0, -2)).ravel() > 0
    assert sampled.sum() == 24
    done("mri", "-i", "k.h5", "--method", "zero-filled", "-o", "from-file")
    done("mri", "-i", "mr.nii.gz", *ZERO, *IDEAL, "-o", "at-once")
    of_file, at_once = (read_json(Path(name, "result.json")) for name in ("from-file", "at-once"))
    assert of_file["true_acceleration"] == 2.0
    assert of_file["metrics"]["psnr"] == pytest.approx(at_once["metrics"]["psnr"], abs=1e-3)
    assert any("simulated from magnitude" in notice for notice in of_file["notices"])


def test_undersampled_kspace_without_a_reference_reports_the_residual() -> None:
    np.savez("k.npz", kspace=kspace() * (np.arange(48) % 2), mask=np.arange(48) % 2)
    printed = done("mri", "-i", "k.npz", "--axes", "zyx", "-o", "out")
    result = read_json(Path("out/result.json"))
    assert result["metrics"]["psnr"] is None
    assert_is_number(result["metrics"]["residual"])
    assert result["true_acceleration"] == 2.0
    assert "PSNR" not in printed.out


@pytest.mark.parametrize(("coils", "method"), [(None, "tv"), (4, "cg-sense"), (4, "l1-wavelet")])
def test_fastmri_files(coils: int | None, method: str) -> None:
    write_fastmri(Path("file.h5"), coils)
    settings = ("--mask", "gauss1d", "--accel", 2, "--calib", 12, "--method", method, "--set", "iterations=30")
    printed = done("mri", "-i", "file.h5", *settings, "-o", "out")
    result = read_json(Path("out/result.json"))
    assert result["metrics"]["psnr"] > result["baseline"]["psnr"] - 0.5
    assert result["metrics"]["residual"] < 0.2
    assert "simulated from magnitude" not in printed.err
    assert ["neither voxel size nor orientation" in notice for notice in result["notices"]] == [True]
    assert result["spacing_mm"] is None


def test_axes_of_an_array_decide_what_is_what() -> None:
    np.save("zcyx.npy", kspace(4))
    np.save("yxcz.npy", kspace(4).transpose(2, 3, 1, 0))
    for axes in ("zcyx", "yxcz"):
        command = ("mri", "-i", f"{axes}.npy", "--axes", axes, *ZERO, "--mask-seed", 1, "-q", "-o", axes)
        done(*command)
    one, two = (read_json(Path(axes, "result.json")) for axes in ("zcyx", "yxcz"))
    assert one["shape"] == [3, 40, 48]
    assert one["metrics"] == pytest.approx(two["metrics"])


@pytest.mark.parametrize(("command", "word"), [("svct", "CC BY 3.0"), ("mri", "ICBM152")])
def test_without_input_the_sample_is_used_and_named(command: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import sample

    write_mr(Path("small.nii.gz"))
    monkeypatch.setattr(sample, "path", lambda case: Path("small.nii.gz"))
    options = FBP if command == "svct" else ZERO
    printed = done(command, *options, "-o", "out")
    assert "sample data" in printed.err
    assert word in printed.err
    assert word in Path("out/report.html").read_text(encoding="utf-8")
    assert any(word in notice for notice in read_json(Path("out/result.json"))["notices"])


@pytest.mark.parametrize(
    ("name", "codes"),
    [("ct/val/CRLM-CT-1004", "LPS"), ("ct/test/LIDC-IDRI-0001", "LAS"), ("ct/train/totalseg_3mm", "RAS")],
)
def test_real_ct_keeps_its_grid(shared: Path, name: str, codes: str) -> None:
    image = load(shared / "data" / f"{name}.nii.gz")
    i, j, k = (n // 2 for n in image.shape)
    nibabel.save(image.slicer[i - 20 : i + 20, j - 24 : j + 24, k - 1 : k + 2], "crop.nii.gz")
    done("svct", "-i", "crop.nii.gz", "--method", "tv", *IDEAL, "-o", "out")
    crop, result = load("crop.nii.gz"), load("out/recon.nii.gz")
    assert "".join(nibabel.aff2axcodes(result.affine)) == codes
    np.testing.assert_array_equal(result.affine, crop.affine)
    assert result.shape == crop.shape == (40, 48, 3)
    assert np.corrcoef(result.get_fdata().ravel(), crop.get_fdata().ravel())[0, 1] > 0.97


def test_a_real_mr_volume_keeps_its_grid(shared: Path) -> None:
    image = load(shared / "data" / "mr" / "val" / "breast_08_0.nii.gz")
    j, k = image.shape[1] // 2, image.shape[2] // 2
    nibabel.save(image.slicer[100:104, j - 32 : j + 32, k - 32 : k + 32], "crop.nii.gz")
    done("mri", "-i", "crop.nii.gz", *ZERO[:-1], 1.25, "-o", "out")
    crop, result = load("crop.nii.gz"), load("out/recon.nii.gz")
    np.testing.assert_array_equal(result.affine, crop.affine)
    assert result.shape == crop.shape
    assert np.corrcoef(result.get_fdata().ravel(), crop.get_fdata().ravel())[0, 1] > 0.8


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
@pytest.mark.parametrize("name", ["Bör se <i>.nii.gz", os.fsdecode(b"latin-\xf6.nii.gz")])
def test_file_names_may_hold_anything(name: str) -> None:
    write_ct(Path("ct.nii.gz")).rename(name)
    case = name.removesuffix(".nii.gz")
    for options in (("-q",), (), ("--json",)):
        done("svct", "-i", name, *FBP, *options, "--overwrite").out.encode()
    result = read_json(Path(f"recon-{case}-svct-paper40-40views-fbp/result.json"))
    assert result["input"] == name
    assert b"<i>.nii" not in Path(f"recon-{case}-svct-paper40-40views-fbp/report.html").read_bytes()
    done("info", name).out.encode()
    done("simulate", "svct", "-i", name, "-o", f"{case}.h5").out.encode()


def test_the_input_may_be_an_argument() -> None:
    write_ct(Path("ct.nii.gz"))
    write_mr(Path("mr.nii.gz"))
    done("svct", "ct.nii.gz", *FBP, "-q")
    assert read_json(Path("recon-ct-svct-paper40-40views-fbp/result.json"))["input"] == "ct.nii.gz"
    done("mri", "mr.nii.gz", *ZERO, "-q")
    assert read_json(Path("recon-mr-mri-gauss1d-2x-zero-filled/result.json"))["input"] == "mr.nii.gz"
    done("simulate", "svct", "ct.nii.gz", "-q")
    done("simulate", "mri", "mr.nii.gz", *ZERO[2:], "-q")
    assert Path("sinogram.h5").is_file()
    assert Path("kspace.h5").is_file()
