"""Folders of NIfTI files and DICOM series: subjects, splits, modality."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from datasets import open_dataset
from datasets.case import Case
from datasets.sets.folder import VolumeFolder
from recon.io.cases import read_case
from recon.scan.volume import Volume


def write_nifti(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
    nib.save(nib.Nifti1Image(data, np.diag([1.0, 1.0, 2.0, 1.0])), path)


def write_series(folder: Path, name: str, patient: str = "", slices: int = 3, **tags: Any) -> str:
    """A CT series of small slices; returns its UID."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid(entropy_srcs=[name])
    for index in range(slices):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, str(index)])
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.SeriesInstanceUID, dataset.PatientID, dataset.Modality = uid, patient, "CT"
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2.5 * index]
        dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = [1, 1], 1, -1024
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 4, 5, 1
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelData = (np.arange(20) + 100 * index).astype("<u2").tobytes()
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{name}{index}.dcm", enforce_file_format=True)
    return uid


def by_id(dataset: Any) -> dict[str, Case]:
    return {case.id: case for case in dataset.cases()}


def test_nifti_files_at_any_depth_are_cases_and_their_names_the_subjects(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "deep/down/b_left.nii", "deep/C.NII.GZ", ".hidden/d.nii.gz", "deep/.e.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").write_text("x")
    dataset = open_dataset("folder", tmp_path, modality="CT")
    assert {case.id: case.subject for case in dataset.cases()} == {
        "a": "a",
        "deep/C": "C",
        "deep/down/b_left": "b_left",
    }
    assert dataset.remarks() == ["files passed over, neither NIfTI nor DICOM: 1 (notes.txt)"]
    assert dataset.title == f"folder {tmp_path.name}"


def test_first_folders_named_after_splits_decide(tmp_path: Path) -> None:
    for name in ("train/a", "train_crops/b", "val/c", "test/d", "e"):
        write_nifti(tmp_path / f"{name}.nii.gz")
    dataset = open_dataset("folder", tmp_path, modality="CT")
    assert {case.id: case.split for case in dataset.cases()} == {"train/a": "train", "val/c": "val", "test/d": "test"}
    assert "cases left out, outside the folders train, val and test: 2, such as e" in dataset.remarks()
    assert [case.id for case in dataset.cases("val")] == ["val/c"]


def test_a_subject_in_two_folders_is_refused(tmp_path: Path) -> None:
    for name in ("train/a", "test/a"):
        write_nifti(tmp_path / f"{name}.nii.gz")
    with pytest.raises(ValueError, match="subject 'a' is in two splits"):
        open_dataset("folder", tmp_path, modality="CT").cases()


def test_a_json_file_decides_before_folders_do(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "more/c", "more/d"):
        write_nifti(tmp_path / f"{name}.nii.gz")
    splits = {"train": ["more/c.nii.gz"], "test": ["a", "more/d"]}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    dataset = open_dataset("folder", tmp_path, modality="CT")
    assert {case.id: case.split for case in dataset.cases()} == {"train/a": "test", "more/c": "train", "more/d": "test"}
    assert dataset.remarks() == ["cases left out, not listed in splits.json: 1, such as train/b"]
    elsewhere = tmp_path / "other.json"
    elsewhere.write_text(json.dumps({"val": ["b"]}))
    assert [case.id for case in open_dataset("folder", tmp_path, modality="CT", splits=elsewhere).cases()] == [
        "train/b"
    ]
    elsewhere.write_text(json.dumps({"val": ["bb"]}))
    with pytest.raises(ValueError, match="'bb' is no case or subject of this data set; did you mean 'b'"):
        open_dataset("folder", tmp_path, modality="CT", splits=elsewhere).cases()


def test_a_pattern_tells_subjects_apart(tmp_path: Path) -> None:
    for name in ("sub-01/t1", "sub-01/t2", "sub-02/t1"):
        write_nifti(tmp_path / f"{name}.nii.gz")
    dataset = open_dataset("folder", tmp_path, modality="MR", subject="sub-([0-9]+)")
    assert [case.subject for case in dataset.cases()] == ["01", "01", "02"]
    assert len({case.split for case in dataset.cases() if case.subject == "01"}) == 1
    with pytest.raises(ValueError, match=r"finds no subject in 'sub-01/t1\.nii\.gz'"):
        open_dataset("folder", tmp_path, modality="MR", subject="pat").cases()
    with pytest.raises(ValueError, match="not a regular expression"):
        open_dataset("folder", tmp_path, modality="MR", subject="(").cases()


@settings(deadline=None, max_examples=15)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 3), min_size=1), st.sampled_from("abcdefgh"))
def test_no_subject_is_in_two_splits_and_a_new_case_moves_none(
    tmp_path_factory: pytest.TempPathFactory, counts: dict[str, int], added: str
) -> None:
    root = tmp_path_factory.mktemp("set")
    for subject, count in counts.items():
        for scan in range(count):
            (root / f"{subject}-{scan}.nii.gz").touch()
    pattern = "^[a-h]"
    before = by_id(VolumeFolder(root, "CT", None, pattern))
    splits: dict[str, set[str]] = {}
    for case in before.values():
        splits.setdefault(case.subject, set()).add(case.split)
    assert all(len(found) == 1 for found in splits.values())
    (root / f"{added}-new.nii.gz").touch()
    after = by_id(VolumeFolder(root, "CT", None, pattern))
    assert len(after) == len(before) + 1
    assert all(after[name].split == case.split for name, case in before.items())


def test_dicom_series_say_their_modality_and_patient(tmp_path: Path) -> None:
    write_series(tmp_path / "one", "a", patient="P1")
    first, second = (write_series(tmp_path / "two", name, patient="P2") for name in "bc")
    write_series(tmp_path / "three", "d")
    dataset = open_dataset("folder", tmp_path)
    cases = by_id(dataset)
    assert set(cases) == {"one", f"two/{first}", f"two/{second}", "three"}
    assert [cases[name].subject for name in ("one", f"two/{first}", "three")] == ["P1", "P2", "three"]
    volume = read_case(cases[f"two/{second}"])
    assert isinstance(volume, Volume)
    assert volume.data.shape == (3, 4, 5)
    assert volume.data.min() == -1024


def test_other_dicom_objects_are_passed_over_and_named(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", "a", patient="P1")
    write_series(tmp_path / "pet", "b", patient="P1", Modality="PT")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 64)
    dataset = open_dataset("folder", tmp_path)
    assert [case.id for case in dataset.cases()] == ["ct"]
    remarks = " ".join(dataset.remarks())
    assert f"{tmp_path / 'pet'}: DICOM files, but no readable CT or MR series" in remarks
    assert f"{tmp_path / 'bad'}: DICOM files" in remarks


def test_mixed_modality_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", "a", patient="P1")
    with pytest.raises(ValueError, match=r"mixed modality: it holds CT .*`modality` MR was given"):
        open_dataset("folder", tmp_path, modality="MR").cases()
    write_series(tmp_path / "mr", "b", patient="P2", Modality="MR")
    with pytest.raises(ValueError, match=r"mixed modality: it holds CT \(.*\), MR \("):
        open_dataset("folder", tmp_path).cases()


def test_nifti_files_need_a_stated_modality_and_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no NIfTI file"):
        open_dataset("folder", tmp_path, modality="CT").cases()
    write_nifti(tmp_path / "a.nii")
    with pytest.raises(ValueError, match="give `modality` CT or `modality` MR"):
        open_dataset("folder", tmp_path).cases()
    with pytest.raises(ValueError, match="a file; give a folder"):
        open_dataset("folder", tmp_path / "a.nii").cases()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii")
    write_nifti(tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"a\.nii and .*a\.nii\.gz have one name"):
        open_dataset("folder", tmp_path, modality="CT").cases()


def test_links_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    write_nifti(tmp_path / "elsewhere" / "a.nii.gz")
    root = tmp_path / "root"
    root.mkdir()
    os.symlink(tmp_path / "elsewhere", root / "z")
    os.symlink(tmp_path / "elsewhere", root / "b")
    os.symlink(root, root / "circle")
    assert [case.id for case in open_dataset("folder", root, modality="CT").cases()] == ["b/a"]


def test_one_subject_in_all_names_is_remarked_on(tmp_path: Path) -> None:
    for folder in ("p1", "p2"):
        write_nifti(tmp_path / folder / "scan.nii.gz")
    assert "all 2 cases are of one subject, 'scan'" in open_dataset("folder", tmp_path, modality="CT").remarks()[0]


def test_names_and_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'kits19'\? there are fastmri, folder, kits19"):
        open_dataset("kits", tmp_path)
    with pytest.raises(ValueError, match="'sample' needs no folder"):
        open_dataset("sample", tmp_path)
    with pytest.raises(ValueError, match="only 'folder' can be told them"):
        open_dataset("kits19", tmp_path, subject="x")
    with pytest.raises(ValueError, match="only phantom takes settings"):
        open_dataset("folder:count=3", tmp_path)


def test_the_sample_is_for_testing_only() -> None:
    dataset = open_dataset("sample")
    assert [(case.id, case.modality, case.split) for case in dataset.cases()] == [
        ("ct", "CT", "test"),
        ("mr", "MR", "test"),
    ]
    assert not dataset.cases("train")
    assert [case.id for case in open_dataset("sample", modality="MR").cases()] == ["mr"]
    assert dataset.root is not None
    assert all(case.path.is_relative_to(dataset.root) for case in dataset.cases())


@pytest.mark.parametrize(
    ("names", "file", "stated"),
    [(["a", "b"], False, False), (["train/a", "b"], False, True), (["a", "b"], True, True)],
)
def test_a_folder_knows_whether_anybody_stated_its_splits(
    tmp_path: Path, names: list[str], file: bool, stated: bool
) -> None:
    for name in names:
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    if file:
        (tmp_path / "splits.json").write_text('{"train": ["a"], "test": ["b"]}')
    assert open_dataset("folder", tmp_path, modality="CT").has_splits is stated


def test_age_and_sex_come_from_dicom_tags_and_before_them_from_a_table(tmp_path: Path) -> None:
    tags = {"good": {"PatientAge": "045Y", "PatientSex": "F"}, "old": {"PatientAge": "099Y", "PatientSex": "O"}}
    for name, told in {**tags, "none": {}}.items():
        write_series(tmp_path / name, name, patient=name, **told)
    known = {
        name: (case.details.get("age"), case.details.get("sex")) for name, case in by_id(VolumeFolder(tmp_path)).items()
    }
    assert known == {"good": ("45", "female"), "old": ("90", None), "none": (None, None)}
    (tmp_path / "patients.csv").write_text("case,age,sex\nnone,018M,M\ngood,50,\n", encoding="utf-8")
    told = by_id(VolumeFolder(tmp_path))
    assert told["none"].details["age"] == "1.5"
    assert told["none"].details["sex"] == "male"
    assert (told["good"].details["age"], told["good"].details["sex"]) == ("50", "female")
    assert not any("passed over" in remark for remark in VolumeFolder(tmp_path).remarks())


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(
    "tags", [{"PatientAge": "45"}, {"PatientAge": "forty"}, {"PatientSex": "Z"}, {"PatientAge": ""}]
)
def test_tags_that_mean_nothing_are_unknown(tmp_path: Path, tags: dict[str, str]) -> None:
    write_series(tmp_path / "a", "a", **tags)
    details = by_id(VolumeFolder(tmp_path))["a"].details
    assert "age" not in details
    assert "sex" not in details
