"""The two trainings of Medical Diffusion (Khader et al. 2022): the VQ-GAN, then the noise estimator on its latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import l1_loss

from priors.diffusion.anatomy import Size
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.medicaldiffusion.unet import FactorisedUNet
from priors.networks.medicaldiffusion.vqgan import VQGAN
from priors.networks.perceptual import LPIPS
from priors.training.autoencoder_learner import DISCRIMINATOR, GENERATOR
from priors.training.batches import Sample, generators
from priors.training.diffusion_learner import draw_noise
from priors.training.generators.parts import random_parts
from priors.training.learner import Learner, Losses
from priors.training.losses import feature_matching_loss, hinge_loss


@dataclass(frozen=True)
class VQGANWeights:
    """Factors of the terms of the VQ-GAN's loss; the defaults are the published ones.

    Attributes:
        reconstruction: the weight of the mean absolute error.
        perceptual: the weight of the perceptual distance of one slice of each volume.
        adversarial: the weight of the adversarial term of each of the two discriminators.
        feature_matching: the weight of the distance of the discriminators' features.
    """

    reconstruction: float = 4.0
    perceptual: float = 4.0
    adversarial: float = 1.0
    feature_matching: float = 4.0


class VQGANLearner(Learner):
    """Odd steps train the discriminators once the adversarial terms have begun, all others the autoencoder.

    Officially both are trained at every step. Samples: ``image`` (1, Z, X, Y) in [-1, 1].

    Args:
        net: the VQ-GAN.
        perceptual: a frozen distance of slices; None trains without one.
        adversarial_start: the step after which the adversarial terms count; None trains without them.
        weights: the weights of the terms.
        crop: the size (z, x, y) in voxels of the part of a sample that is learned from; None is all of it.
    """

    kind = "medicaldiffusion-vqgan"

    def __init__(
        self,
        net: VQGAN,
        perceptual: LPIPS | None = None,
        adversarial_start: int | None = 10_000,
        weights: VQGANWeights | None = None,
        crop: Size | None = None,
    ) -> None:
        super().__init__()
        self.net, self._start, self._crop = net, adversarial_start, crop
        self._weights = weights or VQGANWeights()
        # Not this module's own: a perceptual network is frozen and never written.
        self._perceptual = (perceptual,)

    def _apply(self, fn: Any, recurse: bool = True) -> VQGANLearner:
        """The perceptual network moves along."""
        super()._apply(fn, recurse)
        for network in self._perceptual:
            if network is not None:
                network._apply(fn, recurse)
        return self

    def network(self) -> nn.Module:
        return self.net

    def _judges(self) -> tuple[nn.Module, nn.Module]:
        return self.net.image_discriminator, self.net.video_discriminator

    def phases(self) -> Mapping[str, Sequence[nn.Parameter]]:
        judged = [parameter for judge in self._judges() for parameter in judge.parameters()]
        others = {id(parameter) for parameter in judged}
        learned = [parameter for parameter in self.net.parameters() if id(parameter) not in others]
        return {GENERATOR: learned} | ({} if self._start is None else {DISCRIMINATOR: judged})

    def _adversarial(self, step: int) -> bool:
        return self._start is not None and step >= self._start

    def phase(self, step: int) -> str:
        return DISCRIMINATOR if self._adversarial(step) and step % 2 else GENERATOR

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        (image,) = random_parts(generators(batch["seed"], batch["image"].device), self._crop, batch["image"])
        if phase == DISCRIMINATOR:
            return self._judge(image, batch["seed"])
        reconstruction, losses = self.net(image)
        shown, made = self._slices(batch["seed"], image, reconstruction)
        terms = {
            "reconstruction": self._weights.reconstruction * l1_loss(reconstruction, image),
            "commitment": losses["commitment_loss"],
        }
        for network in self._perceptual:
            if network is not None:
                terms["perceptual"] = self._weights.perceptual * network(shown, made).mean()
        if self._adversarial(step):
            pairs = zip(self._judges(), ((shown, made), (image, reconstruction)), strict=True)
            found = [self._deceived(judge, real, fake) for judge, (real, fake) in pairs]
            terms |= {name: torch.stack([each[name] for each in found]).sum() for name in found[0]}
        return terms | {"total": torch.stack(list(terms.values())).sum(), "perplexity": losses["perplexity"]}

    def _judge(self, image: Tensor, seeds: Tensor) -> Losses:
        """The discriminators' loss; the autoencoder and its codebook stay as they are."""
        frozen, self.net.codebook.frozen = self.net.codebook.frozen, True
        try:
            with torch.no_grad():
                reconstruction, _ = self.net(image)
        finally:
            self.net.codebook.frozen = frozen
        pairs = (self._slices(seeds, image, reconstruction), (image, reconstruction))
        losses = [
            hinge_loss(judge(real)[0], judge(fake)[0])
            for judge, (real, fake) in zip(self._judges(), pairs, strict=True)
        ]
        total = self._weights.adversarial * torch.stack(losses).sum()
        return {"discriminator": total, "total": total}

    def _deceived(self, judge: nn.Module, real: Tensor, fake: Tensor) -> Losses:
        """What the autoencoder pays to one discriminator; no gradient reaches that."""
        constants = {name: parameter.detach() for name, parameter in judge.named_parameters()}
        logits, made = functional_call(judge, constants, (fake,))
        with torch.no_grad():
            _, known = judge(real)
        matching = self._weights.feature_matching * feature_matching_loss(known, made)
        return {"adversarial": -self._weights.adversarial * logits.mean(), "feature_matching": matching}

    def _slices(self, seeds: Tensor, *volumes: Tensor) -> list[Tensor]:
        """One random slice (B, 1, X, Y) of each volume across Z, the same of all."""
        random = generators(seeds, torch.device("cpu"))
        depth = volumes[0].shape[2]
        chosen = [int(torch.randint(depth, (), generator=each)) for each in random]
        return [torch.stack([one[:, z] for one, z in zip(each, chosen, strict=True)]) for each in volumes]

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {}}


class LatentNoiseLearner(Learner):
    """Noise estimation on the latents of a trained VQ-GAN: samples ``image`` (1, Z, X, Y) in [-1, 1].

    Latents are taken before they become codes, and brought from the range of all codes to [-1, 1].

    Args:
        net: the noise estimator to train.
        vqgan: the trained VQ-GAN; frozen here.
        diffusion: the noise schedule.
        loss: ``l1`` as published, or ``l2``.
    """

    kind = "medicaldiffusion"

    def __init__(
        self, net: FactorisedUNet, vqgan: VQGAN, diffusion: GaussianDiffusion, loss: Literal["l1", "l2"] = "l1"
    ) -> None:
        super().__init__()
        self.net, self.diffusion, self._loss = net, diffusion, loss
        self.vqgan = vqgan.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> LatentNoiseLearner:
        """The VQ-GAN stays in eval mode."""
        super().train(mode)
        self.vqgan.eval()
        return self

    def network(self) -> nn.Module:
        return self.net

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        with torch.no_grad():
            latent = self.vqgan.normalise(self.vqgan.encode(batch["image"]))
        t, noise = draw_noise(batch["seed"], latent, self.diffusion.timesteps)
        return {"total": self.diffusion.loss(self.net, latent, t, noise, self._loss)}

    def state(self) -> dict[str, Tensor]:
        """The noise estimator alone: the VQ-GAN lies in its own file."""
        return self.net.state_dict()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.net.load_state_dict(dict(state), strict=True)

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {"timesteps": self.diffusion.timesteps}}
