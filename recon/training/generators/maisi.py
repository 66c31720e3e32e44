"""The training of MAISI's autoencoder and U-Net, from data to learners."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from priors.diffusion.anatomy import CLASSES
from priors.diffusion.maisi import AUTOENCODER_FILE, AUTOENCODER_KIND, UNET_KIND
from priors.networks.maisi.conditions import check_told_apart
from priors.networks.maisi.config import MaisiAutoencoderConfig, MaisiUNetConfig
from priors.networks.sizes import check_size
from priors.training.batches import derived_seed
from priors.weights.card import read_card
from priors.weights.networks import load_network
from priors.weights.perceptual_files import load_perceptual
from recon.errors import InputError, input_errors
from recon.training.cubes import CubeSource
from recon.training.generators.cube_workshop import Cubes, cubes, diffusion_workshop
from recon.training.settings.maisi import MaisiAutoencoderTask, MaisiTask
from recon.training.settings.parse import merged, parse_task, tell_overruled
from recon.training.workshop import Ingredients, Workshop

if TYPE_CHECKING:
    from priors.networks.maisi.autoencoder import MaisiAutoencoder
    from priors.training.generators.maisi_autoencoder import MaisiAutoencoderLearner


def build_maisi_autoencoder(given: Ingredients) -> Workshop:
    """From scratch, or from initial weights."""
    settings = parse_task(MaisiAutoencoderTask, given.recipe.task)
    with input_errors("`network` maisi-autoencoder"):
        net = _network(given, AUTOENCODER_KIND, MaisiAutoencoderConfig().to_dict())
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

    defaults = MaisiUNetConfig.from_dict(
        MaisiUNetConfig().to_dict() | {"channels": autoencoder.config.latent_channels}
    ).to_dict()
    if given.recipe.network.get("process") == "rflow":
        defaults = MaisiUNetConfig.rflow().to_dict() | {"channels": defaults["channels"]}
    net = _network(given, UNET_KIND, defaults)
    with input_errors("recipe: task.size"):
        check_size(settings.size, autoencoder.config.compression * net.config.size_multiple)
    found = cubes(given, settings)
    with input_errors("recipe: network.regions"):
        check_told_apart(net.config, _classes(found))
    scale = latent_scale(autoencoder, found.train, settings.scale_from)
    given.announce(f"latents are scaled by {scale:.4g}")
    learner = MaisiLearner(net, autoencoder.cpu(), scale, (found.grid.spacing,) * 3)
    return diffusion_workshop(learner, found, {"autoencoder": read_card(path).sha256})


def _classes(found: Cubes) -> list[str]:
    return sorted({CLASSES[each.class_index].name for each in found.train.volumes})


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


def _network(given: Ingredients, kind: str, defaults: dict[str, Any]) -> Any:
    """A new network of the recipe's size, or that of the initial weights."""
    from priors.networks.registry import KINDS

    if given.warm_start:
        with input_errors("`warm_start`"):
            net = load_network(given.warm_start, kind)
        tell_overruled(net.config.to_dict(), given.recipe.network, given.announce)
        return net
    with input_errors("recipe: network"):
        return KINDS[kind].build(merged(defaults, given.recipe.network), {})


def in_folder(folder: Path | None, name: str) -> Path:
    """A file of the prior that a network builds upon.

    Raises:
        InputError: no folder, or no such file in it.
    """
    if folder is None:
        raise InputError(f"`base`: name the folder with {name} that this network builds upon")
    path = folder / name
    if not path.is_file():
        raise InputError(f"`base` {folder}: there is no {name} in it")
    return path
