"""Supervised learning from image to image: FBPConvNet, the U-Net."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from priors.training.batches import Sample
from priors.training.learner import Learner, Losses
from priors.training.losses import structural_dissimilarity

SliceDistance = Callable[[Tensor, Tensor], Tensor]
"""From true slices (B, 1, X, Y) and others, in the network range, to their distance, a scalar."""

ImageLoss = Literal["l1", "l2", "l1+l2", "l1+l2+ssim", "sum-of-squares"]

_STRUCTURE = 0.2
"""Weight of 1 - SSIM, which is some three to five times the mean absolute error of good images."""


class ImageLearner(Learner):
    """Samples ``input`` (channels, X, Y) and ``target`` (1, X, Y), network range.

    Args:
        net: the network from an input to an image of the target's shape.
        kind: the kind of its weights file.
        config: the configuration of the network, as plain values.
        loss: mean absolute error, mean square, their sum, that with a term for SSIM, or the sum of squares of a sample
            (FBPConvNet as released).
        perceptual: a frozen distance of slices (B, 1, X, Y) that is added to the loss; None adds none.
        perceptual_weight: the factor on it.
    """

    kind: ClassVar[str] = "image"

    def __init__(
        self,
        net: nn.Module,
        kind: str,
        config: dict[str, Any],
        loss: ImageLoss = "l1",
        perceptual: SliceDistance | None = None,
        perceptual_weight: float = 0.0,
    ):
        super().__init__()
        self.kind = kind  # type: ignore[misc]
        self.net, self._config, self._loss = net, config, loss
        self._perceptual, self._perceptual_weight = perceptual, perceptual_weight

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        output, target = self.net(batch["input"]), batch["target"]
        l1, l2 = functional.l1_loss(output, target), functional.mse_loss(output, target)
        total = self._total(output, target, l1, l2)
        if self._perceptual is None:
            return {"total": total, "l1": l1, "l2": l2}
        distance = self._perceptual(target, output)
        return {"total": total + self._perceptual_weight * distance, "l1": l1, "l2": l2, "perceptual": distance}

    def _total(self, output: Tensor, target: Tensor, l1: Tensor, l2: Tensor) -> Tensor:
        if self._loss == "sum-of-squares":
            return l2 * target[0].numel()
        if self._loss == "l1+l2+ssim":
            return l1 + l2 + _STRUCTURE * structural_dissimilarity(output, target, 2.0)
        return {"l1": l1, "l2": l2, "l1+l2": l1 + l2}[self._loss]

    def card(self) -> dict[str, Any]:
        return {"config": self._config, "extra": {}}
