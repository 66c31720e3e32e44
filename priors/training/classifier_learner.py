"""Learning to tell classes of volumes apart."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn import functional

from priors.networks.classifier import VolumeClassifier
from priors.training.batches import Sample
from priors.training.learner import Learner, Losses


class ClassifierLearner(Learner):
    """Cross entropy of the classes: samples ``image`` (1, Z, X, Y), ``class`` ().

    Args:
        net: the classifier to train.
    """

    kind = "classifier"

    def __init__(self, net: VolumeClassifier):
        super().__init__()
        self.net = net

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        scores = self.net(batch["image"])
        right = (scores.argmax(1) == batch["class"]).float().mean()
        return {"total": functional.cross_entropy(scores, batch["class"]), "accuracy": right}

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {}}
