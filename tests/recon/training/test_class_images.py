"""Volumes as a classifier sees them: whole, in the window, as many of each class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.cache import Cache
from datasets.case import GENERATED, Case
from recon.errors import InputError
from recon.training.build_classifier import evenly
from recon.training.class_images import ClassImages, class_image
from recon.training.prepared import Prepared
from recon.training.settings.classifier import ClassifierTask
from recon.training.settings.parse import parse_task
from recon.training.sources import TrainingVolume

PLAIN = {"size": [2, 4, 4], "window": [-1000, 0], "augmentation": {"flip": 0.0}}


def volume(name: str, index: int, hu: np.ndarray) -> TrainingVolume:
    case = Case(name, name, "CT", "volume", Path(name), "train", {GENERATED: "test"})
    return TrainingVolume(Prepared(case, hu.astype(np.int16), (1.0, 1.0, 1.0), sha256=name), index)


def test_a_volume_is_brought_whole_to_the_grid_and_the_window(tmp_path):
    hu = np.full((4, 8, 2), -1500)
    hu[2:, :, 1] = 300
    image = class_image(volume("a", 0, hu).volume, parse_task(ClassifierTask, PLAIN), Cache(tmp_path))
    assert image.shape == (2, 4, 4)
    assert (image[0] == -1).all()
    assert image[1, 0].tolist() == [-1.0, -0.5, 0.5, 1.0]  # finer along y by linear interpolation


def test_an_epoch_has_as_many_samples_of_each_class(tmp_path):
    volumes = [volume(str(place), int(place > 0), np.full((2, 4, 4), -1000 + 100 * place)) for place in range(5)]
    images = ClassImages(volumes, parse_task(ClassifierTask, PLAIN), Cache(tmp_path))
    samples = [images.sample(item, 0) for item in range(len(images))]
    assert Counter(int(each["class"]) for each in samples) == {0: 4, 1: 4}
    of_the_larger = {round(float(each["image"].mean()), 1) for each in samples if each["class"] == 1}
    assert len(of_the_larger) == 4, "each of its volumes once"


def test_augmentation_follows_from_the_seed_alone(tmp_path):
    changing = parse_task(ClassifierTask, PLAIN | {"augmentation": {"flip": 0.5, "noise": 0.1}})
    images = ClassImages([volume("a", 0, np.zeros((2, 4, 4)))], changing, Cache(tmp_path))
    first, again, other = (images.sample(0, seed)["image"] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_beginning_of_the_held_out_volumes_has_both_classes():
    volumes = [volume(str(place), int(place > 3), np.zeros((2, 4, 4))) for place in range(6)]
    assert [each.class_index for each in evenly(volumes, 2)] == [0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "words"), [({"window": [0, -1]}, "the lower value comes first"), ({"size": [0, 4, 4]}, "1 or more")]
)
def test_impossible_settings_are_one_line(wrong, words):
    with pytest.raises(InputError, match=words):
        parse_task(ClassifierTask, wrong)
