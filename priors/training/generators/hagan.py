"""The adversarial training of HA-GAN (Sun et al. 2022): four networks in turn, on one slab of each volume.

An iteration of the publication has four parts, which are four steps here: the discriminator, the generator, the encoder
of slabs, and the encoder of whole volumes. Slabs begin at a multiple of 4 slices, so that a slab and its features show
the same place; officially they may differ by up to 3 slices. A batch may have one volume, which fails officially.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.hagan.config import FEATURE_STRIDE, SLABS, HAGANConfig
from priors.networks.hagan.discriminator import HAGANDiscriminator, Judgement
from priors.networks.hagan.encoders import HAGANEncoder, HAGANSubEncoder
from priors.networks.hagan.generator import HAGANGenerator
from priors.training.batches import Sample, generators
from priors.training.generators.parts import normal_noise
from priors.training.learner import Learner, Losses

DISCRIMINATOR, GENERATOR, ENCODER, SUB_ENCODER = "discriminator", "generator", "encoder", "sub_encoder"

PHASES = (DISCRIMINATOR, GENERATOR, ENCODER, SUB_ENCODER)
"""In the order of an iteration."""

DISCRIMINATOR_RATE = 4.0
"""The learning rate of the discriminator over that of the other networks."""

CLASS_WEIGHT = 0.1
"""The weight of the class loss for the generator; for the discriminator it is 1."""


class HAGANLearner(Learner):
    """Samples ``image`` (1, Z, X, Y) in [-1, 1], and ``class`` () where the networks have classes.

    Args:
        config: the sizes of the networks.
        class_indices: the index that samples have for each class of the network, in their order; none without classes.

    Raises:
        ValueError: another number of classes than the configuration has.
    """

    kind = "hagan"

    def __init__(self, config: HAGANConfig, class_indices: Sequence[int] = ()) -> None:
        super().__init__()
        if len(class_indices) != config.classes:
            raise ValueError(f"HA-GAN of {config.classes} classes, where {len(class_indices)} are learned")
        self.config, self._class_indices = config, list(class_indices)
        self.generator, self.discriminator = HAGANGenerator(config), HAGANDiscriminator(config)
        self.encoder, self.sub_encoder = HAGANEncoder(config), HAGANSubEncoder(config)

    def network(self) -> nn.Module:
        return self.generator

    def phases(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {name: list(self.get_submodule(name).parameters()) for name in PHASES}

    def phase(self, step: int) -> str:
        return PHASES[step % len(PHASES)]

    def rate_factor(self, phase: str, step: int) -> float:
        return DISCRIMINATOR_RATE if phase == DISCRIMINATOR else 1.0

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        for name in PHASES:  # what is not optimised needs no gradients
            self.get_submodule(name).requires_grad_(name == phase)
        image, classes = batch["image"], self._classes(batch)
        random = generators(batch["seed"], image.device)
        latent = normal_noise(random, image.new_empty(len(image), self.config.latent))
        first = first_slice(self.config, int(batch["seed"][0]))
        slab = image[:, :, first : first + self.config.slab]
        if phase == DISCRIMINATOR:
            return self._judge(slab, low_resolution(image), latent, classes, first)
        if phase == GENERATOR:
            return self._deceive(latent, classes, first)
        if phase == ENCODER:
            return {"total": functional.l1_loss(self.generator.high(self.encoder(slab)), slab)}
        return self._encode(image, slab, classes, first)

    def _judge(self, slab: Tensor, low: Tensor, latent: Tensor, classes: Tensor | None, first: int) -> Losses:
        """The discriminator's loss on real and on made volumes."""
        with torch.no_grad():
            made = self._made(latent, classes, first)
        real, fake = self.discriminator(slab, low, first), self.discriminator(*made, first)
        terms = {"real": _called(real, 1.0), "fake": _called(fake, 0.0)}
        if classes is not None:
            terms["class"] = _class_loss(real, classes)
        return terms | {"total": torch.stack(list(terms.values())).sum()}

    def _deceive(self, latent: Tensor, classes: Tensor | None, first: int) -> Losses:
        """The generator's loss: what it makes is to be called real, and of the class that was asked for."""
        judged = self.discriminator(*self._made(latent, classes, first), first)
        terms = {"adversarial": _called(judged, 1.0)}
        if classes is not None:
            terms["class"] = CLASS_WEIGHT * _class_loss(judged, classes)
        return terms | {"total": torch.stack(list(terms.values())).sum()}

    def _encode(self, image: Tensor, slab: Tensor, classes: Tensor | None, first: int) -> Losses:
        """The loss of the encoder of whole volumes, whose latent is to give the slab and the coarse volume back."""
        with torch.no_grad():
            features = torch.cat([self.encoder(each) for each in image.chunk(SLABS, dim=2)], dim=2)
        high, low = self._made(self.sub_encoder(features), classes, first)
        return {"total": (functional.l1_loss(high, slab) + functional.l1_loss(low, low_resolution(image))) / 2}

    def _made(self, latent: Tensor, classes: Tensor | None, first: int) -> tuple[Tensor, Tensor]:
        """The slab at full resolution and the whole volume at low resolution that a latent gives."""
        features = self.generator.features(latent, classes)
        return self.generator.high(self.generator.slab(features, first)), self.generator.low(features)

    def _classes(self, batch: Sample) -> Tensor | None:
        """The classes of the samples as the networks count them; None for networks without."""
        if not self._class_indices:
            return None
        places = [self._class_indices.index(int(index)) for index in batch["class"]]
        return torch.tensor(places, device=batch["class"].device)

    def card(self) -> dict[str, Any]:
        return {"config": self.config.to_dict(), "extra": {}}


def first_slice(config: HAGANConfig, seed: int) -> int:
    """Where the slab of a step begins: any multiple of 4 slices at which it still fits, all equally likely."""
    places = (config.size - config.slab) // FEATURE_STRIDE + 1
    return FEATURE_STRIDE * int(torch.randint(places, (), generator=torch.Generator().manual_seed(seed)))


def low_resolution(image: Tensor) -> Tensor:
    """Every fourth voxel of (B, 1, Z, X, Y), as the publication subsamples real volumes."""
    return image[:, :, ::FEATURE_STRIDE, ::FEATURE_STRIDE, ::FEATURE_STRIDE]


def _called(judged: Judgement, label: float) -> Tensor:
    logit = judged.logit.float()
    return functional.binary_cross_entropy_with_logits(logit, torch.full_like(logit, label))


def _class_loss(judged: Judgement, classes: Tensor) -> Tensor:
    assert judged.classes is not None
    return functional.cross_entropy(judged.classes.float(), classes)
