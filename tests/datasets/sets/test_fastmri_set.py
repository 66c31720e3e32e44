"""fastMRI knee in its official layout, made here from small files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets import open_dataset
from datasets.sets.fastmri import FastMRIKnee
from recon.io.cases import read_case
from recon.scan.kspace import KSpace

HEADER = """<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>32</x><y>18</y><z>1</z></matrixSize>
<fieldOfView_mm><x>280</x><y>161</y><z>4.5</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>16</x><y>16</y><z>1</z></matrixSize>
<fieldOfView_mm><x>140</x><y>140</y><z>4.5</z></fieldOfView_mm></reconSpace><trajectory>cartesian</trajectory>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>17</maximum><center>9</center>
</kspace_encoding_step_1></encodingLimits></encoding></ismrmrdHeader>"""


def write_file(path: Path, patient: str, acquisition: str = "CORPD_FBK", reference: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(patient))
    with h5py.File(path, "w") as file:
        file["kspace"] = (rng.random((3, 32, 18)) + 1j * rng.random((3, 32, 18))).astype(np.complex64)
        file["ismrmrd_header"] = HEADER
        if reference:
            file["reconstruction_esc"] = rng.random((3, 16, 16)).astype(np.float32)
        file.attrs.update({"acquisition": acquisition, "patient_id": patient})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_file(tmp_path / "singlecoil_train" / "file1000002.h5", "anne")
    write_file(tmp_path / "singlecoil_train" / "file1000001.h5", "anne", "CORPDFS_FBK")
    write_file(tmp_path / "singlecoil_val" / "file1000010.h5", "bert")
    write_file(tmp_path / "singlecoil_test" / "file1000020.h5", "carl", reference=False)
    return tmp_path


def test_official_folders_are_the_splits_and_patients_the_subjects(root: Path) -> None:
    dataset = open_dataset("fastmri", root)
    train = dataset.cases("train")
    assert [case.id for case in train] == ["singlecoil_train/file1000001", "singlecoil_train/file1000002"]
    assert {case.subject for case in train} == {"anne"}
    assert [case.details["contrast"] for case in train] == ["PDFS", "PD"]
    assert [case.details["acquisition"] for case in train] == ["CORPDFS_FBK", "CORPD_FBK"]
    assert [case.subject for case in dataset.cases("val")] == ["bert"]
    (test,) = dataset.cases("test")
    assert test.details["reference"] == "no"
    assert {(case.modality, case.kind) for case in dataset.cases()} == {("MR", "kspace")}
    assert all(case.details["reference"] == "yes" for case in train)


def test_a_case_reads_as_kspace_with_its_reference(root: Path) -> None:
    kspace = read_case(FastMRIKnee(root).cases("val")[0])
    assert isinstance(kspace, KSpace)
    assert kspace.data.shape == (3, 1, 32, 18)
    assert kspace.reference is not None
    assert kspace.meta["contrast"] == "PD"


def test_the_second_version_of_the_test_folder_counts(root: Path) -> None:
    write_file(root / "singlecoil_test_v2" / "file1000020.h5", "carl", reference=False)
    dataset = FastMRIKnee(root)
    assert [case.id for case in dataset.cases("test")] == ["singlecoil_test_v2/file1000020"]
    assert "test is singlecoil_test_v2; singlecoil_test" in dataset.remarks()[0]


def test_what_is_missing_is_counted(root: Path) -> None:
    assert FastMRIKnee(root).expected() == [
        "singlecoil_train: 2 of 973 volumes are there",
        "singlecoil_val: 1 of 199 volumes are there",
    ]


def test_a_damaged_file_is_a_case_that_reading_refuses(root: Path) -> None:
    from recon.errors import InputError

    path = root / "singlecoil_val" / "file1000011.h5"
    path.write_bytes((root / "singlecoil_val" / "file1000010.h5").read_bytes()[:600])
    case = FastMRIKnee(root).cases("val")[1]
    assert (case.subject, dict(case.details)) == ("file1000011", {})
    with pytest.raises(InputError, match="damaged or truncated HDF5"):
        read_case(case)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder singlecoil_train"):
        FastMRIKnee(tmp_path).cases()
