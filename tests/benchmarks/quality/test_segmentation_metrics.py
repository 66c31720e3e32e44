"""Dice and 95 % Hausdorff distance against MONAI's figures, and where they are not defined."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.quality.segmentation_metrics import dice, hausdorff95


def test_the_recorded_figures(shared: Path):
    folder = shared / "fixtures" / "generation" / "downstream"
    values = json.loads((folder / "segmentation.json").read_text())["values"]
    tensors = load_file(folder / "segmentation.safetensors")
    a, b = tensors["a"] > 0, tensors["b"] > 0
    assert dice(a, b) == pytest.approx(values["dice"], abs=1e-12)
    assert hausdorff95(a, b, tuple(values["spacing_zyx"])) == pytest.approx(values["hd95_monai"], abs=1e-6)


def test_distances_are_millimetres_and_the_larger_direction_counts():
    one, other = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    one[2, 4, 4] = other[5, 4, 4] = True
    assert hausdorff95(one, other, (3.0, 1.0, 1.0)) == 9.0
    other[2, 4, 4] = True
    assert hausdorff95(one, other, (3.0, 1.0, 1.0)) == pytest.approx(0.95 * 9)  # from the other mask alone


def test_masks_at_the_border_have_a_surface_there():
    one = np.ones((2, 4, 4), bool)
    assert dice(one, one) == 1.0
    assert hausdorff95(one, one, (1.0, 1.0, 1.0)) == 0.0


def test_empty_masks():
    nothing, some = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert dice(nothing, nothing) is None
    assert dice(some, nothing) == 0.0
    assert hausdorff95(some, nothing, (1.0, 1.0, 1.0)) is None
