"""What a segmentation is worth: kidneys hold their tumours, and missed lesions do not hide in a distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.downstream.segmentation_scores import score, score_files
from recon.errors import RunError
from recon.io.label_map import write_label_map
from recon.scan.label_map import LabelMap

SPACING = (3.0, 1.0, 1.0)


def truth() -> np.ndarray:
    labels = np.zeros((8, 12, 12), np.uint8)
    labels[2:6, 2:10, 2:10] = 1
    labels[3:5, 4:6, 4:6] = 2
    return labels


def test_a_perfect_segmentation():
    scores = score(truth(), truth(), SPACING)
    assert all((each.dice, each.hd95, each.missed, each.invented) == (1, 0, False, False) for each in scores.values())


def test_a_kidney_has_its_tumour_whichever_of_the_two_it_is_called():
    found = np.minimum(truth(), 1)
    scores = score(truth(), found, SPACING)
    assert scores["kidney"].dice == 1
    assert scores["kidney_alone"].dice == pytest.approx(2 * 248 / (248 + 256))
    assert (scores["tumour"].dice, scores["tumour"].hd95, scores["tumour"].missed) == (0, None, True)


def test_an_invented_tumour_has_no_distance_and_one_that_is_neither_there_nor_found_has_no_figure():
    without = np.minimum(truth(), 1)
    invented = score(without, truth(), SPACING)["tumour"]
    assert (invented.dice, invented.hd95, invented.invented, invented.missed) == (0, None, True, False)
    nothing = score(without, without, SPACING)["tumour"]
    assert (nothing.dice, nothing.hd95, nothing.invented, nothing.missed) == (None, None, False, False)


def test_distances_are_millimetres():
    moved = np.roll(truth(), 1, axis=0)
    assert score(truth(), moved, SPACING)["kidney"].hd95 == 3


def test_a_prediction_on_another_grid_or_none_is_an_error(tmp_path: Path):
    labels = torch.from_numpy(truth())
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    write_label_map(tmp_path / "truth.nii.gz", LabelMap(labels, affine))
    write_label_map(tmp_path / "found.nii.gz", LabelMap(labels, np.diag([1.0, 1.0, 2.0, 1.0])))
    with pytest.raises(RunError, match="another grid"):
        score_files(tmp_path / "truth.nii.gz", tmp_path / "found.nii.gz")
    with pytest.raises(RunError, match="no usable segmentation"):
        score_files(tmp_path / "truth.nii.gz", tmp_path / "none.nii.gz")
    found = score_files(tmp_path / "truth.nii.gz", tmp_path / "truth.nii.gz")
    assert found["tumour"] == {"dice": 1.0, "hd95": 0.0, "there": True, "found": True}
