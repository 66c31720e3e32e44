"""The autoencoder's two stages (paper, sections III-A.1 and III-A.2): patches, then the joint decoder on volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.training.batches import Sample
from priors.training.learner import Learner, Losses
from priors.training.losses import AutoencoderLoss

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


class AutoencoderLearner(Learner):
    """Odd steps train the discriminator once the adversarial terms have begun, all others the autoencoder.

    Stage 1: samples ``image`` (1, p, p, p), one patch each. Stage 2: ``image`` (1, Z, X, Y) and ``codes``, the indices
    of its patch-wise encoding; encoder, ``pre_vq_conv`` and codebook are frozen and stay in eval mode.

    Args:
        net: the autoencoder, with a discriminator inside where ``loss`` has adversarial terms.
        loss: refers to that discriminator.
        quantise_after: steps that stage 1 learns without the codebook, which is filled meanwhile. Small batches need
            them: a codebook that starts with few vectors of an untrained encoder collapses.
    """

    kind = "autoencoder"

    def __init__(self, net: PatchVolumeAutoencoder, loss: AutoencoderLoss, quantise_after: int = 0):
        super().__init__()
        self.net, self._loss, self._quantise_after = net, loss, quantise_after
        # Not this module's own: the discriminator is net's, and a perceptual network is frozen and never written.
        self._perceptual = (loss.perceptual,)
        if loss.stage == 2:
            for part in self._frozen():
                part.requires_grad_(False)
            net.codebook.frozen = True

    def _frozen(self) -> tuple[nn.Module, ...]:
        return (self.net.encoder, self.net.pre_vq_conv, self.net.codebook) if self._loss.stage == 2 else ()

    def train(self, mode: bool = True) -> AutoencoderLearner:
        """Frozen parts stay in eval mode."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> AutoencoderLearner:
        """The perceptual network moves along."""
        super()._apply(fn, recurse)
        for network in self._perceptual:
            if network is not None:
                network._apply(fn, recurse)
        return self

    def network(self) -> nn.Module:
        return self.net

    def phases(self) -> Mapping[str, Sequence[nn.Parameter]]:
        judge = self._loss.discriminator
        judged = [] if judge is None else list(judge.parameters())
        others = {id(parameter) for parameter in judged}
        learned = [p for p in self.net.parameters() if p.requires_grad and id(p) not in others]
        return {GENERATOR: learned} | ({DISCRIMINATOR: judged} if judged else {})

    def phase(self, step: int) -> str:
        adversarial = self._loss.discriminator is not None and step >= self._loss.adversarial_start
        return DISCRIMINATOR if adversarial and step % 2 else GENERATOR

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        image = batch["image"]
        if phase == DISCRIMINATOR:
            with torch.no_grad():
                reconstruction, _ = self._reconstruct(batch, step, learn_codes=False)
            return self._loss.discriminator_terms(image, reconstruction)
        reconstruction, losses = self._reconstruct(batch, step, learn_codes=True)
        # On the CPU and from the first sample's seed, so that every process of a step looks at the same slices.
        random = torch.Generator().manual_seed(int(batch["seed"][0]))
        terms = self._loss.generator_terms(image, reconstruction, losses["commitment_loss"], step, random)
        return terms | {"perplexity": losses["perplexity"]}

    def _reconstruct(self, batch: Sample, step: int, *, learn_codes: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The image through the autoencoder, and the codebook's losses."""
        if self._loss.stage == 2:
            embeddings = self.net.codebook.lookup(batch["codes"]).to(batch["image"].dtype)
            return self._unquantised(embeddings)
        if step < self._quantise_after:
            z = self.net.encode(batch["image"])
            if learn_codes:
                self.net.codebook.collect(z, step)
            return self._unquantised(z)
        frozen, self.net.codebook.frozen = self.net.codebook.frozen, not learn_codes
        try:
            _, embeddings, losses = self.net.quantize(self.net.encode(batch["image"]))
        finally:
            self.net.codebook.frozen = frozen
        return self.net.decode_embeddings(embeddings), losses

    def _unquantised(self, embeddings: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        nothing = embeddings.new_zeros(())
        return self.net.decode_embeddings(embeddings), {"commitment_loss": nothing, "perplexity": nothing}

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {"stage": self._loss.stage}}
