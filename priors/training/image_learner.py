"""Supervised learning from image to image: FBPConvNet, the U-Net."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import nn
from torch.nn import functional

from priors.training.batches import Sample
from priors.training.learner import Learner, Losses

ImageLoss = Literal["l1", "l2", "l1+l2", "sum-of-squares"]


class ImageLearner(Learner):
    """Samples ``input`` (channels, X, Y) and ``target`` (1, X, Y), network range.

    Args:
        net: from input to an image of the target's shape.
        kind: of its weights file.
        config: of the network, as plain values.
        loss: mean absolute error, mean square, their sum, or the sum of squares of a sample (FBPConvNet as released).
    """

    kind: ClassVar[str] = "image"

    def __init__(self, net: nn.Module, kind: str, config: dict[str, Any], loss: ImageLoss = "l1"):
        super().__init__()
        self.kind = kind  # type: ignore[misc]
        self.net, self._config, self._loss = net, config, loss

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        output, target = self.net(batch["input"]), batch["target"]
        l1, l2 = functional.l1_loss(output, target), functional.mse_loss(output, target)
        total = {"l1": l1, "l2": l2, "l1+l2": l1 + l2, "sum-of-squares": l2 * target[0].numel()}[self._loss]
        return {"total": total, "l1": l1, "l2": l2}

    def card(self) -> dict[str, Any]:
        return {"config": self._config, "extra": {}}
