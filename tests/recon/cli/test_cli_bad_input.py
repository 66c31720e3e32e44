"""What bad input gets: one line that says what is wrong, exit code 2, and nothing written."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch
from cli_helpers import LPS, Run, body, kspace, listing, run_recon, write_ct, write_mr

from recon.methods.method import Method
from recon.options import NoOptions
from recon.run import memory
from recon.scan.measurement import Measurement, Reconstruction

MR = ("mri", "--input", "mr.nii.gz", "--mask", "gauss1d", "--accel", 2, "--method", "zero-filled")
RAW = ("mri", "--input", "k.npy", "--axes", "zyx", "--mask", "gauss1d", "--accel", 2)
CT = ("svct", "--input", "ct.nii.gz", "--method", "fbp")

Words = tuple[str, ...]


def ct_with(value: float, dtype: type = np.float32) -> np.ndarray:
    values: np.ndarray = body().astype(dtype)
    values[10, 10, 1] = value
    return values


def set_pixdim(path: Path, size: float) -> None:
    """A voxel size as a broken converter writes it (nibabel itself refuses to)."""
    image = nibabel.Nifti1Image(body(), LPS)
    raw = bytearray(image.to_bytes())
    raw[76 + 4 : 76 + 8] = np.float32(size).tobytes()
    path.write_bytes(bytes(raw))


def write_scans(folder: Path) -> None:
    """One usable file of each kind, and a bad one for each way to be bad."""
    write_ct(folder / "ct.nii.gz")
    write_mr(folder / "mr.nii.gz")
    np.save(folder / "k.npy", kspace())
    np.save(folder / "odd.npy", kspace()[:, :, :-3])
    np.save(folder / "real.npy", np.ones((3, 8, 8)))
    np.save(folder / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.save(folder / "mask47.npy", np.ones(47))
    np.save(folder / "grey.npy", np.linspace(0, 1, 40))
    np.savez(folder / "under.npz", kspace=kspace() * (np.arange(48) % 2), mask=np.arange(48) % 2)
    np.savez(folder / "clash.npz", kspace=kspace(), mask=np.ones(31))
    (folder / "text.txt").write_text("not a scan")
    (folder / "empty.nii.gz").touch()
    (folder / "nodicom").mkdir()
    (folder / "nodicom" / "notes.txt").write_text("nothing")
    with h5py.File(folder / "other.h5", "w") as file:
        file["image"] = np.ones(3)
    write_volumes(folder)
    write_geometries(folder)


def write_volumes(folder: Path) -> None:
    whole = (folder / "ct.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "flipped.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole))[:-8] + b"\0" * 8)
    write_ct(folder / "four.nii", np.stack([body()] * 3, axis=-1))
    rgb = np.zeros((8, 8, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, LPS), folder / "rgb.nii")
    write_ct(folder / "nan.nii", ct_with(np.nan))
    write_ct(folder / "inf.nii", ct_with(np.inf))
    write_ct(folder / "constant.nii", np.full((8, 8, 4), 7, np.int16))
    write_ct(folder / "huge.nii", ct_with(1e6))
    write_ct(folder / "complex.nii", body().astype(np.complex64) * 1j)
    set_pixdim(folder / "zero.nii", 0.0)
    set_pixdim(folder / "negative.nii", -2.0)
    sheared = LPS.copy()
    sheared[0, 1] = 1.0
    image = nibabel.Nifti1Image(body(), None)
    image.set_sform(sheared, code=1)
    nibabel.save(image, folder / "sheared.nii")


def write_geometries(folder: Path) -> None:
    (folder / "broken.yaml").write_text("type: fan\n  pitch_mm: [1")
    (folder / "unknown.yaml").write_text("type: fan\npitch: 1\n")
    (folder / "number.yaml").write_text("type: parallel\npitch_mm: wide\nangles: {views: 3}\n")
    (folder / "code.yaml").write_text("!!python/object/apply:os.system ['touch pwned']\n")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    write_scans(folder)
    assert recon_in(folder, "simulate", "svct", "--input", "ct.nii.gz", "-o", "sino.h5").code == 0
    assert recon_in(folder, "simulate", "mri", *MR[1:7], "-o", "raw.h5").code == 0
    return folder


def recon_in(folder: Path, *arguments: object) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run_recon(*arguments)


@pytest.fixture
def refused(scans: Path) -> Callable[..., str]:
    """Runs a command that must be refused; checks all that every refusal has in common."""

    def run(*arguments: object, code: int = 2) -> str:
        before = listing(scans)
        result = recon_in(scans, *arguments)
        assert result.code == code, result
        assert result.err.startswith("recon: ")
        lines = [line for line in result.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, result.err
        assert len(lines[0]) < 400
        assert listing(scans) == before
        return lines[0]

    return run


BAD_FILES: dict[str, Words] = {
    "none.nii.gz": ("none.nii.gz", "no such file"),
    "cut.nii.gz": ("cut.nii.gz", "truncated"),
    "flipped.nii.gz": ("flipped.nii.gz", "damaged"),
    "empty.nii.gz": ("empty.nii.gz", "empty"),
    "text.txt": ("text.txt", "no known kind"),
    "four.nii": ("four.nii", "3 volumes"),
    "rgb.nii": ("rgb.nii", "colour"),
    "nan.nii": ("nan.nii", "1 of 3584", "NaN"),
    "inf.nii": ("inf.nii", "infinite"),
    "constant.nii": ("constant.nii", "constant"),
    "zero.nii": ("zero.nii", "voxel size", "positive"),
    "negative.nii": ("negative.nii", "voxel size", "positive"),
    "sheared.nii": ("sheared.nii", "sheared"),
    "nodicom": ("nodicom", "DICOM"),
    "other.h5": ("other.h5", "image"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", [("svct",), ("mri",), ("simulate", "svct"), ("simulate", "mri"), ("info",)])
def test_files_that_cannot_be_used(refused: Callable[..., str], name: str, command: Words) -> None:
    arguments = (*command, name) if command == ("info",) else (*command, "--input", name)
    message = refused(*arguments)
    for words in BAD_FILES[name]:
        assert words in message


CASES: dict[str, tuple[tuple[object, ...], Words]] = {
    "values that cannot be HU": (("svct", "-i", "huge.nii"), ("huge.nii", "cannot be HU", "--intensity hu")),
    "intensity unit for HU": ((*CT, "--intensity", "unit"), ("--intensity unit",)),
    "complex CT": (("svct", "-i", "complex.nii"), ("complex.nii", "complex")),
    "no views": ((*CT, "--views", 0), ("--views", "0")),
    "negative views": ((*CT, "--views", -3), ("--views", "-3")),
    "half a view": ((*CT, "--views", 2.5), ("--views", "2.5")),
    "no arc": ((*CT, "--arc", 0), ("--arc",)),
    "arc nan": ((*CT, "--arc", "nan"), ("--arc",)),
    "start nan": ((*CT, "--start", "nan"), ("--start",)),
    "golden arc": ((*CT, "--order", "golden", "--arc", 90), ("--arc",)),
    "no photons": ((*CT, "--photons", 0), ("--photons", "0")),
    "photons nan": ((*CT, "--photons", "nan"), ("--photons",)),
    "electronic noise alone": ((*CT, "--electronic-noise", 5), ("--electronic-noise needs --photons",)),
    "broken yaml": ((*CT, "--geometry", "broken.yaml"), ("broken.yaml", "YAML")),
    "unknown yaml entry": ((*CT, "--geometry", "unknown.yaml"), ("unknown.yaml", "did you mean 'pitch_mm'")),
    "yaml text for number": ((*CT, "--geometry", "number.yaml"), ("number.yaml", "pitch_mm", "number")),
    "yaml with code": ((*CT, "--geometry", "code.yaml"), ("code.yaml", "YAML")),
    "geometry is a scan": ((*CT, "--geometry", "ct.nii.gz"), ("ct.nii.gz",)),
    "unknown preset": ((*CT, "--geometry", "paper4"), ("paper4", "paper40")),
    "unknown CT method": (("svct", "-i", "ct.nii.gz", "--method", "fpb"), ("fpb", "did you mean fbp?")),
    "MR method for CT": (("svct", "-i", "ct.nii.gz", "--method", "cg-sense"), ("cg-sense",)),
    "unknown MR method": (("mri", "--method", "l1-wavelets"), ("did you mean l1-wavelet?",)),
    "unknown method option": ((*CT[:-1], "tv", "--set", "iteration=3"), ("did you mean iterations?",)),
    "method option of no type": ((*CT[:-1], "tv", "--set", "iterations=many"), ("iterations=many", "int")),
    "method option below range": ((*CT[:-1], "tv", "--set", "iterations=-3"), ("iterations",)),
    "method option nan": ((*CT[:-1], "tv", "--set", "weight=nan"), ("weight",)),
    "no KEY=VALUE": ((*CT, "--set", "iterations"), ("KEY=VALUE",)),
    "KEY twice": ((*CT[:-1], "tv", "--set", "iterations=3", "--set", "iterations=4"), ("twice",)),
    "unknown option": ((*CT, "--view", 40), ("--view", "--views")),
    "unknown command": (("svtc",), ("svtc", "recon --help")),
    "unknown method name": (("methods", "fpb"), ("fpb", "fbp")),
    "negative seed": ((*CT, "--seed", -1), ("--seed", "-1")),
    "enormous seed": ((*CT, "--seed", 10**30), ("--seed",)),
    "no GPU": ((*CT, "--device", "cuda:99"), ("--device cuda:99", "CUDA devices")),
    "no device": ((*CT, "--device", "tpu"), ("--device tpu",)),
    "no compute device": ((*CT, "--device", "meta"), ("--device meta",)),
    "dicom without dicom": ((*CT, "--dicom"), ("--dicom", "DICOM input")),
    "dicom from k-space": ((*RAW, "--dicom"), ("--dicom", "k-space")),
    "series of a file": ((*CT, "--series", "1.2"), ("--series",)),
    "sinogram as input": (("svct", "-i", "sino.h5"), ("sino.h5", "--sinogram")),
    "volume as sinogram": (("svct", "--sinogram", "ct.nii.gz"), ("ct.nii.gz", "--input")),
    "sinogram for MR": (("mri", "-i", "sino.h5"), ("sino.h5", "MR needs")),
    "sinogram and input": ((*CT, "--sinogram", "sino.h5"), ("--sinogram and --input",)),
    "input twice": (("svct", "ct.nii.gz", "-i", "ct.nii.gz"), ("ct.nii.gz and --input ct.nii.gz", "twice")),
    "input twice for MR": (("mri", "mr.nii.gz", "-i", "mr.nii.gz"), ("mr.nii.gz and --input mr.nii.gz", "twice")),
    "empty input": (("svct", "-i", ""), ("--input", "empty")),
    "empty argument": (("svct", ""), ("empty",)),
    "empty output": ((*CT, "-o", ""), ("--output", "empty")),
    "no such prior option": ((*CT, "--prior", "starter"), ("--prior", "no such option")),
    "weights twice": ((*CT, "--weights", "a", "--set", "weights=b"), ("weights", "twice")),
    "sinogram as argument": (("svct", "sino.h5"), ("sino.h5", "--sinogram")),
    "sinogram and argument": (("svct", "ct.nii.gz", "--sinogram", "sino.h5"), ("--sinogram and --input",)),
    "sinogram and start": (("svct", "--sinogram", "sino.h5", "--start", 0), ("--sinogram", "--start")),
    "sinogram and nan": (("svct", "--sinogram", "sino.h5", "--nan", "air"), ("--sinogram and --nan",)),
    "sinogram and views": (("svct", "--sinogram", "sino.h5", "--views", 9), ("--sinogram", "--views")),
    "sinogram and intensity": (("svct", "--sinogram", "sino.h5", "--intensity", "hu"), ("--intensity",)),
    "sinogram and dicom": (("svct", "--sinogram", "sino.h5", "--dicom"), ("--dicom",)),
    "k-space as sinogram": (("svct", "--sinogram", "raw.h5"), ("raw.h5", "CT needs")),
    "k-space for CT": (("svct", "-i", "raw.h5"), ("raw.h5", "CT needs")),
    "array for CT": (("svct", "-i", "k.npy"), ("k.npy", "CT needs")),
    "resample of a file": ((*CT, "--resample"), ("--resample", "DICOM folders", "ct.nii.gz")),
    "NaN of k-space": (("mri", "-i", "raw.h5", "--nan", "air"), ("--nan air", "raw.h5")),
    "scanner of an ideal scan": ((*CT, "--simulate", "ideal", "--scatter", 0.1), ("--scatter", "--simulate ideal")),
    "no axes": (("mri", "-i", "k.npy"), ("k.npy", "--axes")),
    "too many axes": (("mri", "-i", "k.npy", "--axes", "zcyx"), ("--axes zcyx", "(3, 40, 48)")),
    "wrong axes": (("mri", "-i", "k.npy", "--axes", "zab"), ("--axes zab",)),
    "axes for NIfTI": ((*MR, "--axes", "zyx"), ("--axes zyx", "mr.nii.gz")),
    "real array": (("mri", "-i", "real.npy", "--axes", "zyx"), ("real.npy", "complex")),
    "pickled array": (("mri", "-i", "pickled.npy", "--axes", "yx"), ("pickled.npy", "not a readable")),
    "CT for MR": (("mri", "-i", "ct.nii.gz"), ("ct.nii.gz", "no MR magnitude", "recon svct")),
    "a device": (("svct", "-i", "/dev/null"), ("/dev/null", "a pipe or device")),
    "accel below 1": ((*MR[:5], "--accel", 0.5), ("0.5", "at least 1")),
    "accel beyond": ((*MR[:5], "--accel", 1000), ("1000",)),
    "accel beyond for poisson": (("mri", "-i", "mr.nii.gz", "--accel", 1000), ("1000",)),
    "accel nan": ((*MR[:5], "--accel", "nan"), ("at least 1",)),
    "negative calibration": ((*MR, "--calib", -1), ("-1",)),
    "wide calibration": ((*MR, "--calib", 400), ("400",)),
    "negative mask seed": ((*MR, "--mask-seed", -1), ("seed", "-1")),
    "noise nan": ((*MR, "--noise", "nan"), ("--noise",)),
    "noise of 1": ((*MR, "--noise", 1), ("--noise 1",)),
    "unknown mask": ((*MR[:3], "--mask", "poison"), ("--mask poison", "poisson")),
    "mask of other shape": ((*MR[:3], "--mask", "mask47.npy"), ("mask47.npy", "(47,)", "40")),
    "mask of grey values": ((*MR[:3], "--mask", "grey.npy"), ("grey.npy",)),
    "not a mask": ((*MR[:3], "--mask", "text.txt"), ("text.txt", "mask")),
    "mask folder": ((*MR[:3], "--mask", "nodicom"), ("nodicom",)),
    "mask file and accel": ((*MR[:3], "--mask", "grey.npy", "--accel", 2), ("--accel",)),
    "mask clashes": (("mri", "-i", "clash.npz", "--axes", "zyx"), ("clash.npz", "(31,)")),
    "undersampled again": (("mri", "-i", "under.npz", "--axes", "zyx", "--accel", 2), ("undersampled already",)),
    "noise on undersampled": (("mri", "-i", "raw.h5", "--noise", 0.1), ("--noise", "undersampled already")),
    "simulate undersampled": (("simulate", "mri", "-i", "raw.h5", "-o", "new.h5"), ("undersampled already",)),
    "sinogram exists": (("simulate", "svct", "-i", "ct.nii.gz", "-o", "sino.h5"), ("sino.h5", "--overwrite")),
    "output is the input": (
        ("simulate", "svct", "-i", "ct.nii.gz", "-o", "ct.nii.gz", "--overwrite"),
        ("ct.nii.gz", "input"),
    ),
    "output below a file": ((*CT, "-o", "ct.nii.gz/out"), ("not a folder",)),
    "output is a file": ((*CT, "-o", "text.txt", "--overwrite"), ("text.txt",)),
    "output is a foreign folder": ((*CT, "-o", "nodicom", "--overwrite"), ("nodicom", "only what an earlier")),
}


@pytest.mark.parametrize("name", CASES)
def test_options_that_cannot_be(refused: Callable[..., str], name: str) -> None:
    arguments, expected = CASES[name]
    message = refused(*arguments)
    for words in expected:
        assert words in message


def test_cuda_without_a_gpu(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "--device cuda: this machine has 0 CUDA devices" in refused(*CT, "--device", "cuda")


COMMANDS = [CT, MR, RAW, ("simulate", "svct", "-i", "ct.nii.gz", "-o", "x.h5"), ("simulate", *MR[:7], "-o", "x.h5")]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda a: "-".join(map(str, a[:3])))
def test_a_volume_that_does_not_fit_is_refused_with_its_size(
    refused: Callable[..., str], arguments: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 123_000_000)
    message = refused(*arguments)
    assert "needs about 0.5 GB" in message
    assert "0.1 GB are free" in message


def test_an_output_that_exists_needs_overwrite(scans: Path, refused: Callable[..., str]) -> None:
    assert recon_in(scans, *CT, "-o", "done").code == 0
    message = refused(*CT, "-o", "done", "--seed", 1)
    assert "done" in message
    assert "--overwrite" in message
    (scans / "done" / "my notes.txt").write_text("precious")
    assert "my notes.txt" in refused(*CT, "-o", "done", "--overwrite")


def test_values_that_look_like_no_hu_are_warned_about(scans: Path) -> None:
    scaled = (body() + 1000) / 1700.0
    write_ct(scans / "unit.nii", scaled.astype(np.float32))
    write_ct(scans / "byte.nii", (255 * scaled).astype(np.uint8))
    for name in ("unit", "byte"):
        result = recon_in(scans, "svct", "-i", f"{name}.nii", "--method", "fbp", "-o", f"out-{name}")
        assert result.code == 0
        assert f"--intensity {name}" in result.err
        assert f"`intensity` {name}" in (scans / f"out-{name}" / "result.json").read_text()
        stated = recon_in(
            scans, "svct", "-i", f"{name}.nii", "--method", "fbp", "-o", f"as-{name}", "--intensity", name
        )
        assert "look like" not in stated.err


def test_a_magnitude_a_little_below_zero_is_warned_about(scans: Path) -> None:
    write_ct(scans / "ringing.nii", np.maximum(body() + 1000, -20).astype(np.int16) - 20)
    result = recon_in(scans, "mri", "-i", "ringing.nii", *MR[3:], "-o", "ringing")
    assert result.code == 0
    assert "values down to -20" in result.err


def test_a_method_that_ends_in_nan_is_a_failure(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(measurement: Measurement, options: object, context: object) -> Reconstruction:
        return Reconstruction(torch.full((4, 28, 32), torch.nan))

    monkeypatch.setattr("recon.methods.ct_sirt.METHOD", Method("diverges", "none", NoOptions, diverge))
    message = refused(*CT[:3], "--simulate", "ideal", "--method", "sirt", "-o", "diverged", code=1)
    assert "--method sirt" in message
    assert "NaN" in message
