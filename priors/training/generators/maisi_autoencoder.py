"""The training of MAISI's autoencoder: L1 + KL + adversarial + perceptual (Guo et al., 2024).

    L = |x - d(z)| + w_KL KL(N(mu, sigma) || N(0, 1)) + w_a L_adv + w_p L_perceptual,   z = mu + sigma noise

with the divergence summed over a latent and averaged over the batch, and the least squares of a patch discriminator.
The official training takes a step of each network per batch; here odd steps are the discriminator's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import l1_loss

from priors.diffusion.anatomy import Size
from priors.networks.maisi.autoencoder import MaisiAutoencoder
from priors.networks.maisi.axes import to_maisi, to_unit_range
from priors.networks.maisi.library import MISSING
from priors.networks.missing import MissingPackageError
from priors.training.autoencoder_learner import DISCRIMINATOR, GENERATOR
from priors.training.batches import Sample, generators
from priors.training.generators.parts import normal_noise, random_parts
from priors.training.learner import Learner, Losses

try:
    from monai.losses.adversarial_loss import PatchAdversarialLoss
    from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
except ModuleNotFoundError as error:
    raise MissingPackageError(MISSING) from error


@dataclass(frozen=True)
class MaisiWeights:
    """Factors of the terms; the defaults are those of the released training.

    Attributes:
        divergence: the weight of the KL divergence, a sum over all voxels of a latent.
        adversarial: the weight of the autoencoder's adversarial term.
        perceptual: the weight of the perceptual distance.
    """

    divergence: float = 1e-7
    adversarial: float = 0.1
    perceptual: float = 0.3


def patch_discriminator(channels: int = 32, layers: int = 3) -> nn.Module:
    """The library's patch discriminator of volumes, with the norms of the released training."""
    network: nn.Module = PatchDiscriminator(
        spatial_dims=3, channels=channels, in_channels=1, out_channels=1, num_layers_d=layers, norm="INSTANCE"
    )
    return network


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """KL divergence of Gaussians (B, C, ...) from the standard one: a sum over each latent, a mean over the batch."""
    terms = 0.5 * (mean.square() + deviation.square() - deviation.square().log() - 1)
    return terms.flatten(1).sum(1).mean()


class MaisiAutoencoderLearner(Learner):
    """Odd steps train the discriminator once the adversarial terms have begun, all others the autoencoder.

    Samples: ``image`` (1, Z, X, Y) in the network range, of which a cube at a random place is taken.

    Args:
        net: the autoencoder to train.
        weights: the factors of the terms.
        discriminator: the patch discriminator; None trains without one.
        perceptual: a frozen distance of volumes in [-1, 1], called with volumes, reconstructions and a generator of
            random numbers; None trains without one.
        adversarial_start: the step after which the adversarial terms join.
        crop: the size (z, x, y) in voxels of the part of each sample that is learned from; None is all of it.
    """

    kind = "maisi-autoencoder"

    def __init__(
        self,
        net: MaisiAutoencoder,
        weights: MaisiWeights | None = None,
        discriminator: nn.Module | None = None,
        perceptual: nn.Module | None = None,
        adversarial_start: int = 0,
        crop: Size | None = None,
    ):
        super().__init__()
        self.net, self.discriminator, self._weights = net, discriminator, weights or MaisiWeights()
        self._start, self._crop = adversarial_start, crop
        self._adversarial = PatchAdversarialLoss(criterion="least_squares")
        self._perceptual = (perceptual,)  # not this module's own: it is frozen and never written

    def _apply(self, fn: Any, recurse: bool = True) -> MaisiAutoencoderLearner:
        """The perceptual network moves along."""
        super()._apply(fn, recurse)
        for network in self._perceptual:
            if network is not None:
                network._apply(fn, recurse)
        return self

    def network(self) -> nn.Module:
        found: nn.Module = self.net
        return found

    def phases(self) -> Mapping[str, Sequence[nn.Parameter]]:
        judged = [] if self.discriminator is None else list(self.discriminator.parameters())
        return {GENERATOR: list(self.net.parameters())} | ({DISCRIMINATOR: judged} if judged else {})

    def phase(self, step: int) -> str:
        return DISCRIMINATOR if self._judges(step) and step % 2 else GENERATOR

    def _judges(self, step: int) -> bool:
        return self.discriminator is not None and step > self._start

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        random = generators(batch["seed"], batch["image"].device)
        (part,) = random_parts(random, self._crop, batch["image"])
        images = to_maisi(to_unit_range(part)).contiguous()
        if phase == DISCRIMINATOR:
            with torch.no_grad():
                output, _, _ = self._through(images, random)
            return self._discriminator_terms(images, output)
        return self._generator_terms(images, *self._through(images, random), step, int(batch["seed"][0]))

    def _through(self, images: Tensor, random: Sequence[torch.Generator]) -> tuple[Tensor, Tensor, Tensor]:
        """The images through the autoencoder, with a drawn latent; its mean and deviation."""
        mean, deviation = self.net.encode(images)
        return self.net.decode(mean + deviation * normal_noise(random, mean.float())), mean, deviation

    def _generator_terms(
        self, images: Tensor, output: Tensor, mean: Tensor, deviation: Tensor, step: int, seed: int
    ) -> Losses:
        terms = {
            "reconstruction": l1_loss(output, images),
            "divergence": self._weights.divergence * divergence(mean.float(), deviation.float()),
        }
        for perceptual in self._perceptual:
            if perceptual is not None:
                # On the CPU, so that every process of a step looks at the same slices.
                slices = torch.Generator().manual_seed(seed)
                distance = perceptual(2 * images - 1, 2 * output - 1, slices)
                terms["perceptual"] = self._weights.perceptual * distance
        if self.discriminator is not None and self._judges(step):
            # Constant parameters: the gradient passes through the discriminator and stays out of it.
            constants = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
            logits = functional_call(self.discriminator, constants, (output,))[-1]
            fooled = self._adversarial(logits, target_is_real=True, for_discriminator=False)
            terms["adversarial"] = self._weights.adversarial * fooled
        return terms | {"total": torch.stack(list(terms.values())).sum()}

    def _discriminator_terms(self, images: Tensor, output: Tensor) -> Losses:
        assert self.discriminator is not None
        real, fake = self.discriminator(images)[-1], self.discriminator(output)[-1]
        told_real = self._adversarial(real, target_is_real=True, for_discriminator=True)
        told_fake = self._adversarial(fake, target_is_real=False, for_discriminator=True)
        loss = 0.5 * (told_real + told_fake)
        return {"discriminator": loss, "total": loss}

    def card(self) -> dict[str, Any]:
        return {"config": self.net.config.to_dict(), "extra": {}}
