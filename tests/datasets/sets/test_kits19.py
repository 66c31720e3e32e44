"""KiTS19 in its official layout, made here from small volumes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from datasets import open_dataset
from datasets.sets.kits19 import KiTS19
from recon.io.cases import read_case
from recon.scan.volume import Volume

SX, SY, SZ = 0.9, 0.8, 3.0
AFFINE = np.array([[0, 0, -SX, 0], [0, -SY, 0, 0], [-SZ, 0, 0, 0], [0, 0, 0, 1.0]])


def write_case(root: Path, index: int, segmentation: bool = True) -> np.ndarray:
    """One official case, (slices, 14, 16): row by row from the front, from the patient's right to the left."""
    folder = root / f"case_{index:05d}"
    folder.mkdir(parents=True)
    stored = np.random.default_rng(index).integers(-1000, 1000, (9, 14, 16)).astype(np.float32)
    nib.save(nib.Nifti1Image(stored, AFFINE), folder / "imaging.nii.gz")
    if segmentation:
        nib.save(nib.Nifti1Image((stored > 0).astype(np.uint8), AFFINE), folder / "segmentation.nii.gz")
    return stored


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in (0, 7, 42, 209):
        write_case(tmp_path, index)
    return tmp_path


def test_orientation_and_spacing_come_out_right(tmp_path: Path) -> None:
    stored = write_case(tmp_path, 3)
    volume = read_case(KiTS19(tmp_path).cases()[0])
    assert isinstance(volume, Volume)
    assert volume.spacing == pytest.approx((SZ, SY, SX))
    # Stored from superior to inferior, from front to back, from right to left: RAS+ turns all three around.
    np.testing.assert_array_equal(volume.data.numpy(), stored[::-1, ::-1, ::-1])
    first_stored = volume.affine @ [15, 13, 8, 1]
    np.testing.assert_allclose(first_stored, [0, 0, 0, 1], atol=1e-4)


def test_cases_carry_the_path_of_the_segmentation(root: Path) -> None:
    cases = open_dataset("kits19", root).cases()
    assert [case.id for case in cases] == ["case_00000", "case_00007", "case_00042", "case_00209"]
    assert {(case.modality, case.kind) for case in cases} == {("CT", "volume")}
    for case in cases:
        assert case.path.name == "imaging.nii.gz"
        assert case.path.is_file()
        assert Path(case.details["segmentation"]).parent == case.path.parent


def test_what_an_incomplete_copy_lacks_is_named(root: Path) -> None:
    missing = KiTS19(root).expected()
    assert len(missing) == 206
    assert missing[0] == "case_00001/imaging.nii.gz"
    (root / "case_00042" / "imaging.nii.gz").unlink()
    assert "case_00042/imaging.nii.gz" in KiTS19(root).expected()


def test_a_missing_segmentation_and_the_challenges_own_test_cases_are_tolerated(root: Path) -> None:
    write_case(root, 100, segmentation=False)
    for index in (210, 299):
        write_case(root, index, segmentation=False)
    dataset = KiTS19(root)
    cases = {case.id: case for case in dataset.cases()}
    assert "segmentation" not in cases["case_00100"].details
    assert not {"case_00210", "case_00299"} & set(cases)
    text = " ".join(dataset.remarks())
    assert "cases without a segmentation: 1, such as case_00100" in text
    assert "passed over (the protocol has 210): 2" in text


def test_a_clone_of_the_official_repository_is_found_by_its_data_folder(tmp_path: Path) -> None:
    write_case(tmp_path / "data", 5)
    assert [case.id for case in KiTS19(tmp_path).cases()] == ["case_00005"]


def test_the_split_of_the_whole_set_is_fixed(tmp_path: Path) -> None:
    for index in range(210):
        folder = tmp_path / f"case_{index:05d}"
        folder.mkdir()
        (folder / "imaging.nii.gz").touch()
    dataset = KiTS19(tmp_path)
    sizes = {split: len(dataset.cases(split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 139, "val": 29, "test": 42}
    assert not dataset.expected()


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not KiTS19's layout"):
        KiTS19(tmp_path).cases()
    with pytest.raises(ValueError, match="no such folder"):
        KiTS19(tmp_path / "absent").cases()
    with pytest.raises(ValueError, match=r"'kits19' needs the folder.*data how kits19"):
        open_dataset("kits19")
    with pytest.raises(ValueError, match="is CT, not MR"):
        open_dataset("kits19", tmp_path, modality="MR")


def test_an_unknown_split_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"split 'training': there are train, val, test"):
        KiTS19(root).cases("training")
