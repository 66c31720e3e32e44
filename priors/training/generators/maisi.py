"""The training of MAISI's U-Net in both generations, and of ControlNets on it (Guo et al., 2024).

First generation, with a whole time t drawn evenly and z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise:

    L = |u(z_t, t) - noise|

Second generation, a rectified flow z_s = (1 - s) z_0 + s noise, its times shifted to later by the latent's volume V:

    L = |u(z_s, 1000 s) - (z_0 - noise)|,   s = r s' / (1 + (r - 1) s'),   r = (V / 32^3)^(1/3),   s' drawn evenly
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from priors.diffusion.anatomy import CLASSES
from priors.diffusion.maisi import maisi_diffusion
from priors.diffusion.prior import VoxelSize
from priors.networks.maisi.autoencoder import MaisiAutoencoder
from priors.networks.maisi.axes import from_maisi, to_maisi, to_unit_range
from priors.networks.maisi.conditions import told
from priors.networks.maisi.config import TIMESTEPS, MaisiUNetConfig
from priors.networks.maisi.controlnet import AttachedMaisiHead, MaisiControlNet
from priors.networks.maisi.estimate import estimate
from priors.networks.maisi.unet import MaisiUNet
from priors.training.batches import Sample, generators
from priors.training.generators.parts import normal_noise, uniform_numbers
from priors.training.learner import Learner, Losses

_FLOW_VOXELS = 32**3
"""Latent voxels at which a rectified flow's times are not shifted."""


@torch.no_grad()
def drawn_latents(autoencoder: MaisiAutoencoder, images: Tensor, random: Sequence[torch.Generator]) -> Tensor:
    """A sample of each image's latent, unscaled.

    Args:
        autoencoder: the trained autoencoder.
        images: (B, 1, Z, X, Y) in the network range.
        random: one generator of random numbers for each image.

    Returns:
        (B, C, z, x, y).
    """
    mean, deviation = map(from_maisi, autoencoder.encode(to_maisi(to_unit_range(images)).contiguous()))
    latents: Tensor = mean + deviation * normal_noise(random, mean.float())
    return latents


def noised(
    config: MaisiUNetConfig, latents: Tensor, random: Sequence[torch.Generator]
) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy latents, their times 0 to 1000, and what the U-Net should say of them.

    Args:
        config: the sizes of the U-Net, which say what it estimates.
        latents: (B, C, z, x, y), scaled.
        random: one generator of random numbers for each latent.

    Returns:
        (B, C, z, x, y), (B,) and (B, C, z, x, y).
    """
    noise, place = normal_noise(random, latents.float()), uniform_numbers(random, latents.device)
    if config.process == "ddpm":
        t = (place * TIMESTEPS).long().clamp_max(TIMESTEPS - 1)
        return maisi_diffusion(config).to(latents.device).q_sample(latents, t, noise), t, noise
    ratio = (latents[0, 0].numel() / _FLOW_VOXELS) ** (1 / 3)
    s = ratio * place / (1 + (ratio - 1) * place)
    share = s.view(-1, 1, 1, 1, 1)
    return (1 - share) * latents + share * noise, TIMESTEPS * s, latents - noise


def names_of(classes: Tensor) -> list[str]:
    """The names of classes (B,) by their indices."""
    return [CLASSES[index].name for index in classes.tolist()]


class MaisiLearner(Learner):
    """The U-Net on latents that the frozen autoencoder draws at every step.

    Samples: ``image`` (1, Z, X, Y) in the network range, ``class`` (). The official training encodes each volume once,
    so that its latent's noise is the same at every step; here it is drawn anew.

    Args:
        net: the U-Net to train.
        autoencoder: the trained autoencoder; frozen here.
        scale: the factor from the autoencoder's latents to those of the U-Net, 1 over their deviation.
        voxel_size: the voxel size (z, x, y) in mm of the samples.
    """

    kind = "maisi"

    def __init__(self, net: MaisiUNet, autoencoder: MaisiAutoencoder, scale: float, voxel_size: VoxelSize):
        super().__init__()
        self.net, self._scale, self._voxel_size = net, scale, voxel_size
        self.autoencoder = autoencoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> MaisiLearner:
        """The autoencoder stays in eval mode."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    def network(self) -> nn.Module:
        found: nn.Module = self.net
        return found

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        images = batch["image"]
        random = generators(batch["seed"], images.device)
        latents = self._scale * drawn_latents(self.autoencoder, images, random)
        z, time, wanted = noised(self.net.config, latents, random)
        spacing = torch.tensor(self._voxel_size, device=images.device).expand(len(images), 3)
        inputs = told(self.net.config, names_of(batch["class"]), spacing)
        return {"total": l1_loss(estimate(self.net, z, time, inputs), wanted)}

    def state(self) -> dict[str, Tensor]:
        """The U-Net alone: the autoencoder lies in its own file."""
        state: dict[str, Tensor] = self.net.state_dict()
        return state

    def load_state(self, state: Any) -> None:
        self.net.load_state_dict(dict(state), strict=True)

    def card(self) -> dict[str, Any]:
        return {
            "config": self.net.config.to_dict(),
            "extra": {"timesteps": TIMESTEPS, "scale_factor": self._scale},
        }


class MaisiControlNetLearner(Learner):
    """A ControlNet on a frozen U-Net.

    Samples: ``latent`` (C, z, x, y), scaled, ``class`` () and ``hint`` (hint channels, Z, X, Y).

    Args:
        head: the ControlNet to train.
        base: the U-Net that it steers; frozen here.
        voxel_size: the voxel size (z, x, y) in mm that the U-Net is told, of each class.
    """

    kind = "maisi-controlnet"

    def __init__(self, head: MaisiControlNet, base: MaisiUNet, voxel_size: dict[str, VoxelSize]):
        super().__init__()
        self.head, self._voxel_size = head, voxel_size
        self.base = base.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> MaisiControlNetLearner:
        """The base stays in eval mode."""
        super().train(mode)
        self.base.eval()
        return self

    def network(self) -> nn.Module:
        found: nn.Module = self.head
        return found

    def forward(self, batch: Sample, phase: str, step: int) -> Losses:
        latents, names = batch["latent"], names_of(batch["class"])
        random = generators(batch["seed"], latents.device)
        z, time, wanted = noised(self.base.config, latents, random)
        spacing = torch.tensor([self._voxel_size[name] for name in names], device=latents.device)
        inputs = told(self.base.config, names, spacing)
        head = AttachedMaisiHead(self.head, batch["hint"])
        return {"total": l1_loss(estimate(self.base, z, time, inputs, [head]), wanted)}

    def state(self) -> dict[str, Tensor]:
        """The head alone: the base lies in its own file."""
        state: dict[str, Tensor] = self.head.state_dict()
        return state

    def load_state(self, state: Any) -> None:
        self.head.load_state_dict(dict(state), strict=True)

    def card(self) -> dict[str, Any]:
        return {"config": self.head.config.to_dict(), "extra": {"base_sha256": self.head.base_hash}}
