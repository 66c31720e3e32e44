"""Learning to decode at any voxel size, from the features of a frozen autoencoder."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss

from priors.networks.implicit_decoder import ImplicitDecoder
from priors.training.batches import Sample
from priors.training.learner import Learner, Losses

RANGE = 2.0
"""The width of the network range, for PSNR."""


class ImplicitLearner(Learner):
    """Values of points against their truth: samples ``features``, ``z``, ``x``, ``y``, ``cell``, ``base``, ``truth``.

    Beside the loss it tells the PSNR of the values, and ``gain``, how much that is above the interpolation's, in dB.

    Args:
        net: the implicit decoder to train.
        loss: ``l1``, as Chen, Liu & Wang (2021) train it, or ``l2``, of which PSNR is made.
    """

    kind = "implicit-decoder"

    def __init__(self, net: ImplicitDecoder, loss: Literal["l1", "l2"] = "l2"):
        super().__init__()
        self.net, self._loss = net, l1_loss if loss == "l1" else mse_loss

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        positions = (batch["z"], batch["x"], batch["y"])
        values = self.net(batch["features"], batch["base"], positions, batch["cell"])
        with torch.no_grad():
            errors = [mse_loss(each.float(), batch["truth"]).clamp_min(1e-12) for each in (values, batch["base"])]
            own, interpolated = (10 * torch.log10(RANGE**2 / error) for error in errors)
        return {"total": self._loss(values, batch["truth"]), "psnr": own, "gain": own - interpolated}

    def card(self) -> dict[str, Any]:
        extra = {"autoencoder_sha256": self.net.autoencoder_sha256}
        return {"config": self.net.config.to_dict(), "extra": extra}
