"""Segmentations in files: read into canonical orientation, written as they were, refused in one line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from recon.errors import InputError
from recon.io.label_map import read_label_map, write_label_map


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-2.0, -2.0, 3.0, 1.0]) if affine is None else affine), path)
    return path


def test_there_and_back(tmp_path: Path):
    array = np.zeros((4, 5, 6), np.int16)
    array[0, 1, 2] = 3
    labels = read_label_map(save(tmp_path / "seg.nii.gz", array))
    assert labels.data.shape == (6, 5, 4)
    assert labels.data[2, 3, 3] == 3
    assert labels.labels == (3,)
    write_label_map(tmp_path / "again.nii.gz", labels)
    again = nibabel.load(tmp_path / "again.nii.gz")
    assert (np.asarray(again.dataobj) == array).all()
    assert again.get_data_dtype() == np.uint8
    assert np.allclose(again.affine, np.diag([-2.0, -2.0, 3.0, 1.0]))


def test_an_empty_map_is_one(tmp_path: Path):
    assert read_label_map(save(tmp_path / "seg.nii.gz", np.zeros((3, 3, 3), np.uint8))).labels == ()


@pytest.mark.parametrize("value", [0.5, -1, 300])
def test_values_that_are_no_labels(tmp_path: Path, value: float):
    array = np.zeros((3, 3, 3), np.float32)
    array[1] = value
    with pytest.raises(InputError, match=r"seg\.nii\.gz: no segmentation: labels are whole numbers from 0 to 255"):
        read_label_map(save(tmp_path / "seg.nii.gz", array))


def test_a_file_that_is_no_nifti(tmp_path: Path):
    (tmp_path / "seg.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"seg\.nii\.gz"):
        read_label_map(tmp_path / "seg.nii.gz")
