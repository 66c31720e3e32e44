"""The picture of features."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.quality.generation.embedding import tsne


def groups() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "real": random.normal(size=(12, 60)),
        "near": random.normal(size=(9, 60)),
        "far": random.normal(9, 1, (7, 60)),
    }


def test_groups_that_lie_apart_are_shown_apart() -> None:
    pytest.importorskip("sklearn")
    found = tsne(groups())
    assert {name: points.shape for name, points in found.items()} == {"real": (12, 2), "near": (9, 2), "far": (7, 2)}
    others = np.concatenate([found["real"], found["near"]])
    middle = found["far"].mean(0)
    within = np.linalg.norm(found["far"] - middle, axis=1).max()
    assert np.linalg.norm(others - middle, axis=1).min() > within


def test_the_seed_decides() -> None:
    pytest.importorskip("sklearn")
    np.testing.assert_array_equal(tsne(groups())["near"], tsne(groups())["near"])


def test_few_points_are_too_few() -> None:
    with pytest.raises(ValueError, match="3 volumes: a picture of neighbours needs 4"):
        tsne({"real": np.zeros((3, 5))})


def test_without_the_library_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(ValueError, match=r"t-SNE needs scikit-learn: pip install 'meddiffusion-recon\[tsne\]'"):
        tsne(groups())
