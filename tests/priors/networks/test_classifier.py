"""The classifier of volumes: its size, what it takes, and that it learns."""

from __future__ import annotations

import pytest
import torch

from priors.networks.classifier import ClassifierConfig, VolumeClassifier
from priors.training.classifier_learner import ClassifierLearner


def test_the_default_is_resnet_18_in_three_dimensions():
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in VolumeClassifier(ClassifierConfig()).parameters())
    assert count == 33_161_026


def test_a_configuration_is_read_back_and_wrong_ones_are_refused():
    config = ClassifierConfig(classes=3, blocks=(1,), width=4)
    assert ClassifierConfig.from_dict(config.to_dict()) == config
    for wrong in ({"classes": 0}, {"blocks": ()}, {"stem_kernel": (2, 3, 3)}, {"stem_stride": (1, 1)}):
        with pytest.raises(ValueError, match="classifier setting"):
            ClassifierConfig(**wrong)


def test_it_learns_to_tell_bright_from_dark():
    torch.manual_seed(0)
    learner = ClassifierLearner(VolumeClassifier(ClassifierConfig(stem_kernel=(3, 3, 3), blocks=(1,), width=4)))
    images = torch.cat([torch.randn(4, 1, 8, 8, 8) + 1, torch.randn(4, 1, 8, 8, 8) - 1])
    batch = {"image": images, "class": torch.tensor([0] * 4 + [1] * 4)}
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.02)
    for step in range(20):
        optimizer.zero_grad()
        losses = learner(batch, "classifier", step)
        losses["total"].backward()
        optimizer.step()
    assert losses["total"].item() < 0.2
    assert losses["accuracy"].item() == 1.0
