"""Label maps of data sets: computed ones of phantoms, and those that lie beside the volumes of a folder."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from datasets import open_dataset
from datasets.anatomy_phantom.abdomen import LABELS
from datasets.sets.phantom import PhantomSet, label_map, voxels, write_nifti

SMALL = PhantomSet(count=4, seed=3, size=(40, 64, 64), spacing=(8.0, 6.0, 6.0))


def volume(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.arange(8, dtype=np.float32).reshape(2, 2, 2), np.eye(4)), path)


def test_labels_of_a_phantom_are_its_kidneys_and_lesions():
    found = set()
    for case in SMALL.cases():
        labels, (hu, _) = label_map(case), voxels(case)
        assert labels.shape == hu.shape
        assert labels.dtype == np.uint8
        kidney = hu[labels == 1]
        assert not kidney.size or -20 < np.median(kidney) < 300
        found |= set(np.unique(labels))
    assert found <= {0, *LABELS}
    assert {0, 1} < found


def test_heads_and_limbs_have_no_labels():
    for anatomy in ("head", "limbs"):
        case = PhantomSet(count=1, size=(8, 24, 24), spacing=(20.0, 10.0, 10.0), anatomy=anatomy).cases()[0]
        assert not label_map(case).any()


def test_phantoms_are_written_with_their_label_maps_as_a_folder_that_finds_them(tmp_path: Path):
    case = SMALL.cases()[0]
    write_nifti(case, tmp_path, segmentation=True)
    (read,) = open_dataset("folder", tmp_path, modality="CT").cases()
    path = Path(read.details["segmentation"])
    assert path.name == f"{case.id}_seg.nii.gz"
    assert (label_map(case) == np.asarray(nibabel.load(path).dataobj).T).all()


def test_a_label_map_beside_its_volume_is_no_case(tmp_path: Path):
    for name in ("a.nii.gz", "a_seg.nii.gz", "b.nii.gz", "only_seg.nii.gz"):
        volume(tmp_path / name)
    cases = {case.id: case for case in open_dataset("folder", tmp_path, modality="CT").cases()}
    assert set(cases) == {"a", "b", "only_seg"}
    assert cases["a"].details == {"segmentation": str(tmp_path / "a_seg.nii.gz")}
    assert not cases["b"].details


def test_label_maps_in_a_folder_of_their_own(tmp_path: Path):
    for name in ("scans/train/a.nii.gz", "maps/train/a.nii.gz", "scans/train/b.nii.gz", "maps/train/b_seg.nii.gz"):
        volume(tmp_path / name)
    dataset = open_dataset("folder", tmp_path / "scans", modality="CT", segmentations=tmp_path / "maps")
    found = {case.id: Path(case.details["segmentation"]).name for case in dataset.cases()}
    assert found == {"train/a": "a.nii.gz", "train/b": "b_seg.nii.gz"}


def test_a_folder_of_label_maps_that_is_not_there_or_not_for_the_set(tmp_path: Path):
    volume(tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"`segmentations` .*none: no such folder"):
        open_dataset("folder", tmp_path, modality="CT", segmentations=tmp_path / "none").cases()
    with pytest.raises(ValueError, match="`segmentations`: data set 'phantom' has its own"):
        open_dataset("phantom:count=1", segmentations=tmp_path)
