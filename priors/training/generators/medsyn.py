"""The two trainings of MedSyn (Xu et al. 2024): small volumes, and the finer grid beside them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from priors.diffusion.anatomy import Size
from priors.diffusion.continuous import TOLD, noised
from priors.networks.medsyn.finer import MedSynSR
from priors.networks.medsyn.grids import Reduction, enlarged, reduced
from priors.networks.medsyn.low import MedSynLow
from priors.training.batches import Sample, generators
from priors.training.generators.parts import normal_noise, random_parts, uniform_numbers
from priors.training.learner import Learner, Losses

MOST_NOISE = 0.4
"""Largest share of noise in the small volume that the model of the finer grid is shown in training."""


class MedSynLearner(Learner):
    """Estimation of small clean volumes: samples ``image`` (C, Z, X, Y) in [-1, 1] on the finer grid.

    A sample may hold ``text`` (tokens, text width), the embeddings of its report.

    Args:
        net: the network to train.
        ratio: voxels of the finer grid along one voxel of a small volume.
        reduction: what a voxel of a small volume is.
        dropped: the share of the samples that are told no text, so that the network can be guided.
    """

    kind = "medsyn"

    def __init__(self, net: MedSynLow, ratio: int = 4, reduction: Reduction = "nearest", dropped: float = 0.1) -> None:
        super().__init__()
        self.net, self._ratio, self._reduction, self._dropped = net, ratio, reduction, dropped

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        x0 = reduced(batch["image"], self._ratio, self._reduction)
        random = generators(batch["seed"], x0.device)
        t, noise = uniform_numbers(random, x0.device), normal_noise(random, x0)
        estimate = self.net(noised(x0, t, noise), TOLD * t, self._text(batch, random))
        return {"total": mse_loss(estimate, x0)}

    def _text(self, batch: Sample, random: list[torch.Generator]) -> Tensor | None:
        """What the network is told; the text of some samples is dropped."""
        if "text" not in batch:
            return None
        told = batch["text"]
        return torch.where(
            (uniform_numbers(random, told.device) < self._dropped)[:, None, None], self.net.null_cond_emb.to(told), told
        )

    def card(self) -> dict[str, Any]:
        return {
            "config": self.net.config.to_dict(),
            "extra": {"ratio": self._ratio, "reduction": self._reduction},
        }


class MedSynSRLearner(Learner):
    """Estimation of clean volumes on the finer grid: samples ``image`` (C, Z, X, Y) in [-1, 1].

    The small volume is made of the sample, enlarged and mixed with a random share of noise, up to ``MOST_NOISE``: the
    ones that it will be shown have faults.

    Args:
        net: the network to train.
        reduction: what a voxel of a small volume is.
        column: the size (z, x, y) in voxels of the part of a sample that is learned from; None is all of it.
    """

    kind = "medsyn-sr"

    def __init__(self, net: MedSynSR, reduction: Reduction = "nearest", column: Size | None = None) -> None:
        super().__init__()
        self.net, self._reduction, self._column = net, reduction, column

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        image, ratio = batch["image"], self.net.config.ratio
        random = generators(batch["seed"], image.device)
        shown, x0 = random_parts(random, self._column, enlarged(reduced(image, ratio, self._reduction), ratio), image)
        share = MOST_NOISE * uniform_numbers(random, x0.device).view(-1, 1, 1, 1, 1)
        shown = (1 - share) * shown + share * normal_noise(random, x0)
        t, noise = uniform_numbers(random, x0.device), normal_noise(random, x0)
        return {"total": mse_loss(self.net(shown, noised(x0, t, noise), TOLD * t), x0)}

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {"reduction": self._reduction}}
