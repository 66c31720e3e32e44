"""The training of MAISI's autoencoder and U-Net, from data to learners."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from priors.diffusion.maisi import AUTOENCODER_FILE, AUTOENCODER_KIND, UNET_KIND
from priors.networks.maisi.conditions import check_told_apart
from priors.networks.maisi.config import MaisiUNetConfig
from priors.networks.sizes import check_size
from priors.training.batches import derived_seed
from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.perceptual_files import load_perceptual
from recon.errors import InputError, input_errors
from recon.training.base_prior import in_folder
from recon.training.cubes import CubeSource
from recon.training.generators.cube_workshop import cubes, diffusion_workshop
from recon.training.generators.stages import check_part, new_network
from recon.training.settings.maisi import MaisiAutoencoderTask, MaisiTask
from recon.training.settings.parse import parse_task
from recon.training.workshop import Ingredients, Workshop

if TYPE_CHECKING:
    from priors.networks.maisi.autoencoder import MaisiAutoencoder
    from priors.networks.maisi.unet import MaisiUNet
    from priors.training.generators.maisi_autoencoder import MaisiAutoencoderLearner


def build_maisi_autoencoder(given: Ingredients) -> Workshop:
    """From scratch, or from initial weights."""
    settings = parse_task(MaisiAutoencoderTask, given.recipe.task)
    net: MaisiAutoencoder = new_network(given, AUTOENCODER_KIND)
    check_part("task.crop", settings.crop, settings.size)
    with input_errors("recipe: task.size" if settings.crop is None else "recipe: task.crop"):
        check_size(settings.crop or settings.size, net.config.compression)
    return diffusion_workshop(_autoencoder_learner(net, settings), cubes(given, settings))


def _autoencoder_learner(net: MaisiAutoencoder, settings: MaisiAutoencoderTask) -> MaisiAutoencoderLearner:
    from priors.training.generators.maisi_autoencoder import (
        MaisiAutoencoderLearner,
        MaisiWeights,
        patch_discriminator,
    )

    perceptual = judge = None
    if settings.perceptual:
        with input_errors("task.perceptual"):
            perceptual = load_perceptual(settings.perceptual)
    if settings.adversarial:
        judge = patch_discriminator(settings.discriminator_channels, settings.discriminator_layers)
    weights = MaisiWeights(settings.divergence, settings.adversarial, settings.perceptual_weight)
    return MaisiAutoencoderLearner(net, weights, judge, perceptual, settings.adversarial_start, settings.crop)


def build_maisi(given: Ingredients) -> Workshop:
    """The U-Net of either generation, on the latents of a trained autoencoder."""
    settings = parse_task(MaisiTask, given.recipe.task)
    path = in_folder(given.base, AUTOENCODER_FILE)
    with input_errors("`base`"):
        autoencoder = load_network(path, AUTOENCODER_KIND).eval().to(given.device)
    from priors.training.generators.maisi import MaisiLearner

    usual = MaisiUNetConfig.rflow() if given.recipe.network.get("process") == "rflow" else MaisiUNetConfig()
    fixed = {"channels": autoencoder.config.latent_channels}
    net: MaisiUNet = new_network(given, UNET_KIND, fixed, usual.to_dict())
    with input_errors("recipe: task.size"):
        check_size(settings.size, autoencoder.config.compression * net.config.size_multiple)
    found = cubes(given, settings)
    with input_errors("recipe: network.regions"):
        check_told_apart(net.config, found.classes)
    scale = latent_scale(autoencoder, found.train, settings.scale_from)
    given.announce(f"latents are scaled by {scale:.4g}")
    learner = MaisiLearner(net, autoencoder.cpu(), scale, (found.grid.spacing,) * 3)
    return diffusion_workshop(learner, found, {"autoencoder": read_card(path).sha256})


def latent_scale(autoencoder: MaisiAutoencoder, source: CubeSource, count: int) -> float:
    """1 over the deviation of the latents of the first cubes; the official training takes one batch's.

    Args:
        autoencoder: the trained autoencoder.
        source: the cubes of the training.
        count: the number of cubes.
    """
    from priors.training.generators.maisi import drawn_latents

    device = next(autoencoder.parameters()).device
    moments = torch.zeros(3, dtype=torch.float64)
    for item in range(count):
        seed = derived_seed("latent scale", item)
        image = source.sample(item % len(source), seed)["image"][None].to(device)
        latent = drawn_latents(autoencoder, image, [torch.Generator(device).manual_seed(seed)]).double()
        moments += torch.stack([torch.ones_like(latent).sum(), latent.sum(), latent.square().sum()]).cpu()
    mean, square = (moments[1:] / moments[0]).tolist()
    deviation = math.sqrt(max(square - mean**2, 0.0))
    if not deviation > 0:
        raise InputError("`base`: its autoencoder gives the same latent whatever it is shown; train it longer")
    return 1 / deviation
