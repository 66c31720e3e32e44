"""MosMedData's loader: classes by folder, splits by number, and copies that are otherwise than expected."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from cli_helpers import run_benchmarks

from datasets import how_to_get, open_dataset
from datasets.sets.mosmed import STUDIES, official_grade, official_names, study_split


def write(root: Path, *names: str) -> Path:
    """Studies as small files, named as ``CT-1/study_0255.nii.gz``."""
    for place, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        hu = np.full((16, 16, 4), -800 + place, np.int16)
        hu[4:12, 4:12] = 40
        nibabel.save(nibabel.Nifti1Image(hu, np.diag([1.5, 1.5, 8.0, 1.0])), path)
    return root


def test_the_official_splits_are_700_290_and_120_of_which_half_are_abnormal():
    splits = {name: study_split(name) for name in official_names()}
    assert STUDIES == 1110
    assert Counter(splits.values()) == {"train": 700, "val": 290, "test": 120}
    normal = [name for name, split in splits.items() if split == "test" and official_grade(name) == "CT-0"]
    assert len(normal) == 60
    assert [name for name, split in splits.items() if split == "test"][:2] == ["study_0006", "study_0008"]


@pytest.mark.parametrize(
    ("name", "grade"),
    [
        ("study_0001", "CT-0"),
        ("study_0254", "CT-0"),
        ("study_0255", "CT-1"),
        ("study_1110", "CT-4"),
        ("study_1111", None),
        ("study_0000", None),
        ("study_12", None),
        ("0001", None),
    ],
)
def test_the_number_of_a_study_says_its_folder(name, grade):
    assert official_grade(name) == grade


@pytest.mark.parametrize("given", ["", "studies", "COVID19_1110"])
def test_the_folder_may_be_that_of_the_studies_or_above(tmp_path, given):
    write(tmp_path / "COVID19_1110" / "studies", "CT-0/study_0001.nii.gz", "CT-1/study_0255.nii")
    root = {"": tmp_path, "studies": tmp_path / "COVID19_1110" / "studies"}.get(given, tmp_path / given)
    write(tmp_path / "COVID19_1110", "masks/study_0255_mask.nii.gz")
    first, second = open_dataset("mosmed", root).cases()
    assert (first.id, first.details["class"], first.details["grade"]) == ("study_0001", "normal", "CT-0")
    assert (second.id, second.details["class"], second.details["grade"]) == ("study_0255", "abnormal", "CT-1")
    assert Path(second.details["segmentation"]).name == "study_0255_mask.nii.gz"
    assert "segmentation" not in first.details


def test_what_is_otherwise_is_read_and_said(tmp_path):
    write(tmp_path, "CT-0/study_0001.nii.gz", "CT-1/study_0002.nii.gz", "CT-4/case.nii.gz")
    dataset = open_dataset("mosmed", tmp_path)
    remarks = " | ".join(dataset.remarks())
    assert "found: 1 in CT-0, 1 in CT-1, 0 in CT-2, 0 in CT-3, 1 in CT-4" in remarks
    assert "another folder than their number says: 1, such as study_0002" in remarks
    assert "not official, split by a hash: 1, such as case" in remarks
    assert len(dataset.expected()) == STUDIES - 2
    assert dataset.cases()[2].details["class"] == "abnormal"


def test_another_layout_and_copies_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="no folder CT-0, CT-1, … in it: not MosMedData's layout"):
        open_dataset("mosmed", tmp_path).cases()
    with pytest.raises(ValueError, match="no such folder"):
        open_dataset("mosmed", tmp_path / "none").cases()
    write(tmp_path, "CT-0/study_0001.nii.gz", "CT-1/study_0001.nii.gz")
    with pytest.raises(ValueError, match="have one name"):
        open_dataset("mosmed", tmp_path).cases()


def test_data_check_reads_it_and_names_what_is_missing(tmp_path):
    write(tmp_path / "set", "CT-0/study_0001.nii.gz", "CT-2/study_0939.nii.gz")
    found = run_benchmarks("data", "check", "mosmed", tmp_path / "set", "--out", tmp_path / "manifest.json")
    assert found.code == 1, found.err
    assert "MosMedData: 2 cases of 2 subjects" in found.out
    assert "1 in CT-2" in found.out
    assert "CC BY-NC-ND 3.0" in how_to_get("mosmed")
