"""Whole volumes of the validation split, reconstructed by a network in training from simulated scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from priors.diffusion.anatomy import Size
from priors.diffusion.image_prior import EpsilonModel
from priors.diffusion.latent_sampling import generate
from priors.diffusion.patch_volume import PatchVolumePrior
from priors.diffusion.prior import LatentPrior
from priors.diffusion.samplers import ddim, seeded_noise, spaced_timesteps
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_unet import ADMUNet
from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.biflownet import BiFlowNet
from priors.training.batches import derived_seed
from priors.training.loop import Validated
from recon.diffusion.head_sampling import Sampling, sample, steer
from recon.pictures.lettering import Frame
from recon.training.pairs import StoredPair
from recon.training.validation import Validation, evaluate_network, mean_figures, side_by_side

_GENERATED = Frame(sides_known=True)
"""New images lie as the training's do, in patient space, and have no size of their own."""

_SEED = derived_seed("validation sample")

Reconstruct = Callable[[nn.Module, Tensor], Tensor]
"""From a network and its conditions (n, Z, X, Y) to a volume (Z, X, Y); network range."""


def reconstruction_validation(pairs: Sequence[StoredPair], reconstruct: Reconstruct) -> Validation | None:
    """PSNR and SSIM of volumes that are reconstructed from simulated scans, in the metrics of the benchmarks.

    The picture shows the first condition, the reconstruction and the ground truth of the last volume's middle slice.
    """
    if not pairs:
        return None

    def validate(network: nn.Module) -> Validated:
        figures, picture = [], np.zeros((1, 1))
        for pair in pairs:
            images = torch.from_numpy(np.array(pair.images, dtype=np.float32))
            output = reconstruct(network, images[:-1])
            figures.append(evaluate_network(images[-1], output, pair.case.modality))
            middle = len(output) // 2
            picture = side_by_side(images[0, middle], output[middle], images[-1, middle], frame=pair.frame)
        return Validated(mean_figures(figures), {"reconstruction": picture})

    return validate


def head_reconstruction(prior: LatentPrior, class_index: int, steps: int) -> Reconstruct:
    """How a ControlNet head reconstructs: one volume, always from the same noise."""

    def reconstruct(head: nn.Module, conditions: Tensor) -> Tensor:
        prior.to(next(head.parameters()).device)
        return sample(steer(prior, head, conditions, class_index), Sampling(steps), _SEED).clamp(-1, 1)

    return reconstruct


def generation_pictures(
    autoencoder: PatchVolumeAutoencoder, diffusion: GaussianDiffusion, classes: Sequence[int], size: Size, steps: int
) -> Validation:
    """The middle slice of a new volume of each class; there is no ground truth to compare with, so no figure."""

    def validate(network: nn.Module) -> Validated:
        assert isinstance(network, BiFlowNet)
        prior = PatchVolumePrior(autoencoder, network, diffusion).to(next(network.parameters()).device)
        slices = []
        for index in classes:
            volume = generate(prior, index, size, steps=steps, seeds=[_SEED])[0, 0].cpu()
            slices.append(volume[len(volume) // 2])
        return Validated({}, {"generated": side_by_side(*slices, frame=_GENERATED)})

    return validate


def slice_pictures(diffusion: GaussianDiffusion, channels: int, edge: int, steps: int, count: int = 4) -> Validation:
    """New slices of a prior in two dimensions; of a complex one, the real parts."""
    noise = seeded_noise([derived_seed(_SEED, place) for place in range(count)])(
        torch.empty(count, channels, edge, edge)
    )
    times = spaced_timesteps(diffusion.timesteps, steps)

    def validate(network: nn.Module) -> Validated:
        assert isinstance(network, ADMUNet)
        device = next(network.parameters()).device
        model = EpsilonModel(network, diffusion.to(device))
        images = ddim(model.eps, noise.to(device), diffusion, times).cpu()
        return Validated({}, {"generated": side_by_side(*images[:, 0], frame=_GENERATED)})

    return validate


def together(*validations: Validation | None) -> Validation | None:
    """All figures and pictures of several validations; None where there is none."""
    given = [each for each in validations if each is not None]
    if not given:
        return None

    def validate(network: nn.Module) -> Validated:
        results = [each(network) for each in given]
        figures = {name: value for each in results for name, value in each.figures.items()}
        return Validated(figures, {name: value for each in results for name, value in each.pictures.items()})

    return validate
