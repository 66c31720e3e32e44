"""The losses that the autoencoder and its discriminator are trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import avg_pool2d, l1_loss, mse_loss, relu, softplus

_WINDOW = 7
"""Pixels across which structures are compared."""


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms (3D MedDiffusion, equation 2); the defaults are those of the released code.

    Attributes:
        reconstruction: the weight of the mean absolute error.
        commitment: the weight of the codebook's commitment loss, which holds a factor 0.25 of its own.
        adversarial: the weight of the generator's adversarial term.
        feature_matching: the weight of the distance of the discriminator's features.
        perceptual: the weight of the tri-plane (or MedicalNet) distance.
        discriminator: the weight of the discriminator's own loss.
        square: the weight of the mean square error, which the paper does not have; PSNR is made of it.
        structure: the weight of 1 - SSIM of axial slices, which the paper does not have either.
    """

    reconstruction: float = 4.0
    commitment: float = 1.0
    adversarial: float = 2.0
    feature_matching: float = 4.0
    perceptual: float = 2.0
    discriminator: float = 2.0
    square: float = 0.0
    structure: float = 0.0

    @classmethod
    def official(cls) -> LossWeights:
        """The weights that the released checkpoints were trained with."""
        return cls()

    @classmethod
    def paper(cls) -> LossWeights:
        """The weights as section III-A.3 and III-D.4 print them: adversarial 2, tri-plane 4, the rest 1.

        Equation 3 has the commitment term with factor 1, so the codebook's 0.25 is undone. There is no feature
        matching in the paper. Its one slice per orientation is ``TriPlanePerceptual(lpips, fraction=None)``.
        """
        return cls(
            reconstruction=1.0,
            commitment=4.0,
            adversarial=2.0,
            feature_matching=0.0,
            perceptual=4.0,
            discriminator=2.0,
        )


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's hinge loss of the logits of real and reconstructed volumes (Lim and Ye, 2017)."""
    return 0.5 * (relu(1 - real).mean() + relu(1 + fake).mean())


def vanilla_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's cross-entropy (Goodfellow et al., 2014; 3D MedDiffusion, equation 4), halved."""
    return 0.5 * (softplus(-real).mean() + softplus(fake).mean())


DISCRIMINATOR_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"hinge": hinge_loss, "vanilla": vanilla_loss}


def feature_matching_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean absolute difference of the discriminator's features, summed over its layers; real ones are constants."""
    distances = [l1_loss(ours, theirs.detach()) for ours, theirs in zip(fake, real, strict=True)]
    return torch.stack(distances).sum()


@dataclass(frozen=True)
class AutoencoderLoss:
    """What the autoencoder minimises, and what its discriminator minimises.

    It refers to networks and owns none: they are moved, saved and optimised by whoever trains them.

    Attributes:
        discriminator: returns logits and features, such as ``VolumeDiscriminator``; None trains without one.
        perceptual: a frozen distance, called with volumes, reconstructions and a generator of random numbers, such as
            ``TriPlanePerceptual``; None trains without one.
        weights: the weights of the terms.
        stage: 1 trains everything on patches; 2 trains the decoder, and so has no commitment term.
        adversarial_start: the adversarial terms join after this step (3D MedDiffusion, section III-D.4: 20000).
        gan: kind of the discriminator's loss.

    Raises:
        ValueError: another stage or kind of loss.
    """

    discriminator: nn.Module | None = None
    perceptual: nn.Module | None = None
    weights: LossWeights = field(default_factory=LossWeights)
    stage: Literal[1, 2] = 1
    adversarial_start: int = 0
    gan: Literal["hinge", "vanilla"] = "hinge"

    def __post_init__(self) -> None:
        if self.stage not in (1, 2):
            raise ValueError(f"stage {self.stage!r} of the autoencoder's training; 1 or 2")
        if self.gan not in DISCRIMINATOR_LOSSES:
            raise ValueError(f"no discriminator loss {self.gan!r}; one of {', '.join(DISCRIMINATOR_LOSSES)}")

    def generator_terms(
        self,
        x: Tensor,
        reconstruction: Tensor,
        commitment_loss: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """The autoencoder's loss; no gradient reaches the discriminator.

        Args:
            x: volumes (B, C, Z, X, Y), about [-1, 1].
            reconstruction: the same through the autoencoder.
            commitment_loss: the codebook's, a scalar.
            step: steps of optimisation so far, of both networks together.
            generator: draws the slices of the perceptual term.

        Returns:
            Weighted scalars by name, and ``total``, their sum. A term of a network that is not there is left out; the
            adversarial ones are zero until their start.
        """
        terms = {"reconstruction": self.weights.reconstruction * l1_loss(reconstruction, x)}
        if self.weights.square:
            terms["square"] = self.weights.square * mse_loss(reconstruction, x)
        if self.weights.structure:
            ours, theirs = (rearrange(each, "b c z x y -> (b z) c x y") for each in (reconstruction, x))
            terms["structure"] = self.weights.structure * structural_dissimilarity(ours, theirs, data_range=2.0)
        if self.stage == 1:
            terms["commitment"] = self.weights.commitment * commitment_loss
        if self.perceptual is not None:
            terms["perceptual"] = self.weights.perceptual * self.perceptual(x, reconstruction, generator)
        if self.discriminator is not None:
            terms |= self._adversarial_terms(self.discriminator, x, reconstruction, step)
        return terms | {"total": torch.stack(list(terms.values())).sum()}

    def _adversarial_terms(
        self, discriminator: nn.Module, x: Tensor, reconstruction: Tensor, step: int
    ) -> dict[str, Tensor]:
        if step <= self.adversarial_start:
            return {"adversarial": x.new_zeros(()), "feature_matching": x.new_zeros(())}
        # Constant parameters: the gradient passes through the discriminator to the reconstruction and stays out of it.
        constants = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
        logits, fake = functional_call(discriminator, constants, (reconstruction,))
        terms = {"adversarial": -self.weights.adversarial * logits.mean()}
        if self.weights.feature_matching:
            with torch.no_grad():
                _, real = discriminator(x)
            terms["feature_matching"] = self.weights.feature_matching * feature_matching_loss(real, fake)
        return terms

    def discriminator_terms(self, x: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """The discriminator's loss of the same tensors; no gradient reaches the autoencoder.

        Returns:
            ``discriminator`` and ``total``, both the weighted loss.

        Raises:
            ValueError: there is no discriminator.
        """
        if self.discriminator is None:
            raise ValueError("a discriminator's loss without a discriminator; give one to AutoencoderLoss")
        real, _ = self.discriminator(x.detach())
        fake, _ = self.discriminator(reconstruction.detach())
        loss = self.weights.discriminator * DISCRIMINATOR_LOSSES[self.gan](real, fake)
        return {"discriminator": loss, "total": loss}


def structural_dissimilarity(image: Tensor, truth: Tensor, data_range: float) -> Tensor:
    """1 - SSIM with a uniform window of 7 x 7, mean over all places where it fits (Wang et al. 2004).

    The SSIM is scikit-image's with its defaults, which the metrics use.

    Args:
        image, truth: (n, 1, X, Y), edges of 7 or more.
        data_range: the range of the images' values.
    """
    first, second = image.float(), truth.float()
    mean_1, mean_2 = (avg_pool2d(each, _WINDOW, 1) for each in (first, second))
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    variances = unbiased * (avg_pool2d(first**2 + second**2, _WINDOW, 1) - mean_1**2 - mean_2**2)
    covariance = unbiased * (avg_pool2d(first * second, _WINDOW, 1) - mean_1 * mean_2)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    return 1 - (luminance * (2 * covariance + c2) / (variances + c2)).mean()
