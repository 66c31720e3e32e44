"""The segmenter learns what is easy to see, and reads volumes of any size in tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.quality.segmenter import Example, SegmenterTraining, segment, train_segmenter

TRAINING = SegmenterTraining(steps=40, crop=(8, 16, 16), batch=2, width=4, rate=1e-2)


def examples() -> list[Example]:
    found = []
    for place in (4, 8, 12):
        classes = np.zeros((10, 18, 20), np.uint8)
        classes[2:8, place - 3 : place + 3, 5:14] = 1
        noise = np.random.default_rng(place).normal(0, 10, classes.shape)
        found.append(Example(np.where(classes, 150.0, -50.0) + noise, classes))
    return found


def test_a_bright_box_is_found_whole_and_in_tiles():
    network = train_segmenter(examples(), 2, TRAINING)
    truth = examples()[1]
    hu = torch.from_numpy(truth.hu).float()
    found = segment(network, hu)
    assert 2 * (found & truth.classes).sum() / (found.sum() + truth.classes.sum()) > 0.9
    tiled = segment(network, hu, tile=(4, 8, 8))
    assert tiled.shape == found.shape
    assert (tiled != found).mean() < 0.1


def test_the_same_seed_gives_the_same_network():
    one, other = (train_segmenter(examples(), 2, SegmenterTraining(steps=2, width=4, crop=(8, 16, 16))) for _ in "ab")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_no_example():
    with pytest.raises(ValueError, match="no real volume"):
        train_segmenter([], 2, TRAINING)
