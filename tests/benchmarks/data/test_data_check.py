"""`benchmarks data`: what the check finds, what it writes, how it ends."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks.cli import main
from datasets.manifest import read_manifest
from priors.weights.seen import salted

DIAGONAL = np.diag([1.0, 1.0, 2.0, 1.0])


def body(seed: int, shape: tuple[int, int, int] = (9, 10, 12)) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16)


def write(path: Path, data: np.ndarray, affine: np.ndarray = DIAGONAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def check(tmp_path: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    done = run("check", *arguments, "--out", tmp_path / "manifest.json", "--overwrite", "--json")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, json.loads(done.stdout)


def faults(summary: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in summary["problems"]:
        found.setdefault(problem["fault"], []).append(f"{problem['case']}: {problem['text']}")
    return found


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for index, name in enumerate(("train/a", "train/b", "val/c", "test/d")):
        write(root / f"{name}.nii.gz", body(index))
    return root


def test_a_clean_set_ends_with_0_and_a_manifest_that_names_every_case(clean: Path, tmp_path: Path) -> None:
    code, summary = check(tmp_path, "folder", clean, "--modality", "CT")
    assert code == 0
    assert not summary["problems"]
    assert summary["splits"] == {"train": 2, "val": 1, "test": 1}
    manifest = read_manifest(tmp_path / "manifest.json")
    assert manifest.sha256 == summary["manifest_sha256"]
    row = next(row for row in manifest.rows if row.id == salted("train/a", manifest.salt))
    assert (row.path, row.subject, row.split) == ("", salted("a", manifest.salt), "train")
    assert "train/a" not in (tmp_path / "manifest.json").read_text(), "a file's name may be a person's"
    assert row.shape == (12, 10, 9)
    assert row.spacing == (2.0, 1.0, 1.0)
    assert row.orientation == "RAS"
    assert row.range == (float(body(0).min()), float(body(0).max()))


def test_the_hash_is_that_of_the_content_wherever_it_lies(clean: Path, tmp_path: Path) -> None:
    first = check(tmp_path, "folder", clean, "--modality", "CT")[1]["manifest_sha256"]
    moved = clean.rename(tmp_path / "moved")
    assert check(tmp_path, "folder", moved, "--modality", "CT")[1]["manifest_sha256"] == first
    write(moved / "train" / "a.nii.gz", body(99))
    assert check(tmp_path, "folder", moved, "--modality", "CT")[1]["manifest_sha256"] != first


def test_unreadable_files_are_named_with_the_reason_and_not_in_the_manifest(clean: Path, tmp_path: Path) -> None:
    whole = (clean / "train" / "b.nii.gz").read_bytes()
    (clean / "train" / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
    write(clean / "val" / "c.nii.gz", np.zeros((4, 4), np.int16))
    code, summary = check(tmp_path, "folder", clean, "--modality", "CT")
    assert code == 1
    damaged, flat = faults(summary)["unreadable"]
    assert damaged.startswith("train/b: damaged or truncated gzip data")
    assert flat == "val/c: the volume is constant (every value is 0): there is nothing in it"
    manifest = read_manifest(tmp_path / "manifest.json")
    assert {row.id for row in manifest.rows} == {salted(name, manifest.salt) for name in ("test/d", "train/a")}


def test_the_same_values_in_another_file_are_a_duplicate(clean: Path, tmp_path: Path) -> None:
    copy = gzip.decompress((clean / "train" / "a.nii.gz").read_bytes())
    (clean / "test" / "copy.nii").write_bytes(copy)  # other bytes, other name
    code, summary = check(tmp_path, "folder", clean, "--modality", "CT")
    assert code == 1
    assert faults(summary) == {
        "duplicated": ["train/a: the same values as test/copy (test; this one is in train)"],
    }


def test_spacing_and_values_that_are_off_are_found(clean: Path, tmp_path: Path) -> None:
    write(clean / "train" / "a.nii.gz", body(0), np.diag([1.0, 1.0, 25.0, 1.0]))
    write(clean / "train" / "b.nii.gz", np.random.default_rng(0).random((9, 10, 12)).astype(np.float32))
    write(clean / "val" / "c.nii.gz", 45000 + 10 * body(2).astype(np.float32))
    code, summary = check(tmp_path, "folder", clean, "--modality", "CT")
    assert code == 1
    found = faults(summary)["off"]
    assert found[0].startswith("train/a: voxels of 25 x 1 x 1 mm (z, y, x); 0.2 to 10 mm is usual")
    assert "look like [0, 1], not HU" in found[1]
    assert "cannot be HU" in found[2]


def test_padding_tilt_and_a_missing_orientation_are_notes(clean: Path, tmp_path: Path) -> None:
    data = body(0)
    data[0] = -2048
    write(clean / "train" / "a.nii.gz", data)
    cos, sin = np.cos(0.5), np.sin(0.5)
    turned = np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
    write(clean / "train" / "b.nii.gz", body(1), turned)
    image = nib.Nifti1Image(body(2), None)
    image.header.set_sform(None, code=0)
    image.header.set_qform(None, code=0)
    nib.save(image, clean / "val" / "c.nii.gz")
    code, summary = check(tmp_path, "folder", clean, "--modality", "CT")
    assert code == 0
    notes = "\n".join(summary["notes"])
    assert "train/a: 120 voxels of -2048 (padding outside the field of view) were taken as air" in notes
    assert "train/b: the grid is turned by 29 degrees" in notes
    assert "val/c: the header states no orientation" in notes


def test_ct_called_mr_is_found(clean: Path, tmp_path: Path) -> None:
    code, summary = check(tmp_path, "folder", clean, "--modality", "MR")
    assert code == 1
    assert len(faults(summary)["off"]) == 4
    assert "an MR magnitude is not negative (is it CT?)" in faults(summary)["off"][0]


def test_kits19_lacks_cases_and_shows_a_foreign_orientation(tmp_path: Path) -> None:
    affine = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3, 0, 0, 0], [0, 0, 0, 1.0]])
    write(tmp_path / "kits" / "case_00000" / "imaging.nii.gz", body(0), affine)
    write(tmp_path / "kits" / "case_00001" / "imaging.nii.gz", body(1))
    code, summary = check(tmp_path, "kits19", tmp_path / "kits")
    assert code == 1
    assert len(faults(summary)["missing"]) == 208
    assert [row.orientation for row in read_manifest(tmp_path / "manifest.json").rows] == ["IPL", "RAS"]
    (note,) = (note for note in summary["notes"] if "official files" in note)
    assert note.startswith("case_00001: stored RAS, the official files are IPL")
    shown = run("check", "kits19", tmp_path / "kits", "--out", tmp_path / "m.json").stdout
    assert "MISSING    and 188 more; --json prints them all" in shown


def write_fastmri(path: Path, reference: bool, acquisition: str = "CORPD_FBK") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path)))
    with h5py.File(path, "w") as file:
        file["kspace"] = (rng.random((3, 16, 12)) + 1j * rng.random((3, 16, 12))).astype(np.complex64)
        if reference:
            file["reconstruction_esc"] = rng.random((3, 8, 8)).astype(np.float32)
        file.attrs.update({"acquisition": acquisition, "patient_id": path.stem})


def test_fastmri_files_without_reference_or_header_are_off_but_for_the_test(tmp_path: Path) -> None:
    root = tmp_path / "knee"
    write_fastmri(root / "singlecoil_train" / "a.h5", reference=False)
    write_fastmri(root / "singlecoil_val" / "b.h5", reference=True, acquisition="AXT2")
    write_fastmri(root / "singlecoil_test" / "c.h5", reference=False)
    code, summary = check(tmp_path, "fastmri", root)
    assert code == 1
    off = faults(summary)["off"]
    assert "singlecoil_train/a: no reference image, which every train file has" in off
    assert "singlecoil_val/b: acquisition 'AXT2' is neither CORPD_FBK nor CORPDFS_FBK" in off
    assert [text for text in off if "singlecoil_test" in text] == [
        "singlecoil_test/c: no header that tells the spacing"
    ]
    assert read_manifest(tmp_path / "manifest.json").rows[0].shape == (3, 1, 16, 12)


def test_a_patient_in_two_official_folders_is_found(tmp_path: Path) -> None:
    root = tmp_path / "knee"
    for folder in ("singlecoil_train", "singlecoil_val"):
        write_fastmri(root / folder / "same.h5", reference=True)
    _, summary = check(tmp_path, "fastmri", root)
    assert any("subject 'same' is in several splits: train, val" in text for text in faults(summary)["off"])


def test_generated_and_shipped_sets_are_checked_without_a_path(tmp_path: Path) -> None:
    code, summary = check(tmp_path, "phantom:count=2,size=16x48x48,spacing=8x8x8")
    assert (code, summary["readable"], summary["problems"]) == (0, 2, [])
    code, summary = check(tmp_path, "sample")
    assert (code, summary["readable"], summary["problems"]) == (0, 2, [])
    assert [row.orientation for row in read_manifest(tmp_path / "manifest.json").rows] == ["LAS", "RAS"]


def test_phantoms_written_as_files_make_a_clean_folder(tmp_path: Path) -> None:
    done = run("write", "phantom:count=3,size=16x48x48,spacing=8x8x8", tmp_path / "out")
    assert done.exit_code == 0
    assert "3 files in" in done.stdout
    assert check(tmp_path, "folder", tmp_path / "out", "--modality", "CT")[0] == 0
    again = run("write", "phantom:count=3,size=16x48x48,spacing=8x8x8", tmp_path / "out")
    assert again.exit_code == 2
    assert "exists already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["kits", "."], "did you mean 'kits19'?"),
        (["kits19"], "needs the folder that holds it"),
        (["kits19", "absent"], "absent: no such folder"),
        (["folder", "."], "no NIfTI file"),
        (["sample", "."], "needs no folder"),
        (["kits19", ".", "--subject", "x"], "only 'folder' can be told"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("check", *arguments)
    assert done.exit_code == 2
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_manifest_is_not_overwritten_unasked(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("check", "folder", clean, "--modality", "CT").exit_code == 0
    assert (tmp_path / "manifest-folder.json").is_file()
    done = run("check", "folder", clean, "--modality", "CT")
    assert done.exit_code == 2
    assert "exists already" in done.stderr
    assert run("check", "folder", clean, "--modality", "CT", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("kits19", "CC BY-NC-SA 4.0"),
        ("fastmri", "data sharing agreement"),
        ("folder", "splits.json"),
        ("sample", "CC BY 3.0"),
        ("phantom", "no one's scan"),
    ],
)
def test_how_tells_where_to_get_a_set_and_its_terms(name: str, terms: str) -> None:
    done = run("how", name)
    assert done.exit_code == 0
    assert terms in done.stdout
    assert f"benchmarks data check {name}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_how_names_the_nearest(tmp_path: Path) -> None:
    done = run("how", "fastmri-knee")
    assert done.exit_code == 2
    assert "did you mean 'fastmri'?" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from benchmarks.cli import main; "
        "done = CliRunner().invoke(main, ['data', 'check', '--help']); assert '--modality' in done.output; "
        "assert not {'torch', 'numpy', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), OverflowError("too large"), zlib.error("Error -3")]
)
def test_one_hostile_file_ends_no_check(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    import recon.io.detect

    proper = recon.io.detect.read_any

    def read(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "b.nii.gz":
            raise error
        return proper(path, *arguments, **options)

    monkeypatch.setattr(recon.io.detect, "read_any", read)
    code, summary = check(tmp_path, "folder", clean, "--modality", "CT")
    assert code == 1
    assert summary["readable"] == 3
    assert [problem.partition(":")[0] for problem in faults(summary)["unreadable"]] == ["train/b"]
